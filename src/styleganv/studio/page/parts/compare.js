// A second video next to the first, with the same settings, in another model or from the dataset.

import { html } from "../core/ui.js";
import { sources, view } from "../core/state.js";
import { Field, Select } from "../widgets/field.js";

/** @type {import("./index.js").Part} */
export const compare = {
  place: "explore",
  title: "Compare",
  Body: () => {
    const options = [["", "None"], ...sources.value.map(({ name }) => [name, name])];
    const { model } = view.b.value ?? {};
    if (model && !sources.value.some(({ name }) => name === model)) options.push([model, `${model} (not open)`]);
    return html`<${Field} id="compare-with" label="Compare with">
      <${Select} id="compare-with" options=${options} value=${view.b.value ? model ?? view.a.value.model : ""}
        onChange=${(/** @type {string} */ name) => { view.b.value = name ? { model: name } : null; }} /><//>`;
  },
};
