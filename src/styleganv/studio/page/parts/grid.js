// A grid of videos: content varies by column, motion by row.

import { seedOf } from "../core/notation.js";
import { html } from "../core/ui.js";
import { change, source, view } from "../core/state.js";
import { ErrorText } from "../widgets/field.js";
import { Slider } from "../widgets/slider.js";

/** @param {number} rows @param {number} columns */
const setGrid = (rows, columns) => change({ grid: rows * columns > 1 ? [rows, columns] : null });

/** @type {import("./index.js").Part} */
export const grid = {
  place: "edit",
  title: "Grid",
  isShown: () => seedOf(view.a.value.content) !== null,
  Body: () => {
    const [rows, columns] = view.a.value.grid ?? [1, 1];
    return html`
      <${Slider} id="columns" label="Content columns" value=${columns} min=${1} max=${6} step=${1} reset=${1}
        onInput=${(/** @type {number} */ value) => setGrid(rows, Math.round(value))} />
      ${source.value?.supports_motion_seed && html`
        <${Slider} id="rows" label="Motion rows" value=${rows} min=${1} max=${4} step=${1} reset=${1}
          onInput=${(/** @type {number} */ value) => setGrid(Math.round(value), columns)} />`}
      <${ErrorText} of="grid" />`;
  },
};
