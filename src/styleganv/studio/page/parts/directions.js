// Directions: estimated by the server on request, then one slider per direction.

import { getJson } from "../core/api.js";
import { directionsUrl } from "../core/protocol.js";
import { html, signal } from "../core/ui.js";
import { change, source, view } from "../core/state.js";
import { ActionButton } from "../widgets/button.js";
import { ErrorText } from "../widgets/field.js";
import { Slider } from "../widgets/slider.js";

const MAX_STRENGTH = 4; // standard deviations
/** Names of directions by source. */
const found = signal(/** @type {Record<string, string[]>} */ ({}));

/** @param {string} name */
async function find(name) {
  const names = await getJson(directionsUrl(name));
  found.value = { ...found.value, [name]: names };
}

/** @param {string} name @param {number} strength */
function setStrength(name, strength) {
  const { [name]: _, ...others } = view.a.value.directions;
  change({ directions: strength ? { ...others, [name]: strength } : others });
}

function Body() {
  const { model, directions } = view.a.value;
  const names = found.value[model];
  const shown = [...new Set([...(names ?? []), ...Object.keys(directions)])]; // those of the address need no search
  return html`
    ${!names && html`<p class="hint">Estimated in a few seconds, while the video plays.</p>
      <${ActionButton} id="find-directions" text="Find directions" busyText="Finding directions…" of=${model}
        action=${() => find(model)} />`}
    <div id="directions">${shown.map((name) => html`
      <${Slider} key=${name} id=${`direction-${name.replaceAll(" ", "-")}`} label=${name} value=${directions[name] ?? 0}
        min=${-MAX_STRENGTH} max=${MAX_STRENGTH} step=${0.1} reset=${0}
        onInput=${(/** @type {number} */ strength) => setStrength(name, strength)} />`)}</div>
    <${ErrorText} of="directions" />`;
}

/** @type {import("./index.js").Part} */
export const directions = {
  place: "edit", title: "Directions", isShown: () => Boolean(source.value?.num_layers), Body,
};
