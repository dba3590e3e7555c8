// Style mixing: some layers from a second content seed.

import { formatMix, parseMix } from "../core/notation.js";
import { html, signal } from "../core/ui.js";
import { change, source, view } from "../core/state.js";
import { Check, ErrorText } from "../widgets/field.js";
import { Seed } from "../widgets/seed.js";
import { Slider } from "../widgets/slider.js";

/** @typedef {import("../core/notation.js").Mix} Mix */

const randomSeed = () => String(Math.floor(Math.random() * 1e6));
/** What the controls show, also while nothing is mixed. The order of its layers does not matter. */
const draft = signal(/** @type {Mix} */ ({ term: "1", first: 0, last: 3, amount: 1 }));

/** @param {Mix} mix @returns {Mix} */
const ordered = (mix) => ({ ...mix, first: Math.min(mix.first, mix.last), last: Math.max(mix.first, mix.last) });

/** @param {Partial<Mix>} values @param {boolean} isOn */
function set(values, isOn) {
  draft.value = { ...draft.value, ...values };
  change({ mix: isOn ? formatMix(ordered(draft.value)) : null });
}

function Body() {
  const { mix } = view.a.value;
  const isOn = mix !== null, lastLayer = (source.value?.num_layers ?? 1) - 1;
  let shown = draft.value;
  if (mix !== null && formatMix(ordered(shown)) !== mix) draft.value = shown = parseMix(mix) ?? shown; // e.g. after undo
  /** @param {string} id @param {string} label @param {"first" | "last" | "amount"} key */
  const slider = (id, label, key, max = lastLayer, step = 1, reset = key === "first" ? 0 : max) => html`
    <${Slider} id=${id} label=${label} value=${Math.min(shown[key], max)} min=${0} max=${max} step=${step} reset=${reset}
      onInput=${(/** @type {number} */ value) => set({ [key]: value }, isOn)} />`;
  return html`
    <${Check} id="mix" label="Mix in another content" checked=${isOn}
      onChange=${(/** @type {boolean} */ checked) => set({ last: Math.min(shown.last, lastLayer) }, checked)} />
    <${Seed} id="mix-seed" label="Seed" name="mix-seed" value=${shown.term}
      onChange=${(/** @type {string} */ term) => set({ term }, isOn)} onDice=${() => set({ term: randomSeed() }, true)} />
    ${slider("mix-amount", "Amount", "amount", 1, 0.02)}
    ${slider("mix-first", "First layer", "first")}
    ${slider("mix-last", "Last layer", "last")}
    <button id="mix-all" type="button" onClick=${() => set({ first: 0, last: lastLayer }, true)}>Mix all layers</button>
    <${ErrorText} of="mix" />`;
}

/** @type {import("./index.js").Part} */
export const mix = { place: "edit", title: "Style mixing", isShown: () => Boolean(source.value?.num_layers), Body };
