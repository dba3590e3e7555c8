// Two videos side by side, in sync: A on the left, B on the right. The controls change both, or one of them.

import { batch, html } from "../core/ui.js";
import { isFlipped, secondView, sources, view } from "../core/state.js";
import { Choice, Field, Select } from "../widgets/field.js";

/** @typedef {import("../core/state.js").View} View */
/** @typedef {"both" | "a" | "b"} Side */

/** Return what differs in a video; at least its model. @param {View} video @param {View} from @returns {Partial<View>} */
const difference = (video, from) => Object.fromEntries(Object.entries(video).filter(([key, value]) =>
  key === "model" || JSON.stringify(value) !== JSON.stringify(/** @type {any} */ (from)[key])));

/** Which videos the controls change. @returns {Side} */
const side = () => {
  const isLinked = Object.keys(view.b.value ?? {}).length < Object.keys(view.a.value).length;
  return isLinked ? "both" : isFlipped.value ? "b" : "a";
};

/** @param {View} first the one that the controls change @param {View} second @param {boolean} isLinked */
const setViews = (first, second, isLinked, flipped = isFlipped.peek()) => batch(() => {
  view.a.value = first;
  view.b.value = isLinked ? difference(second, first) : { ...second };
  isFlipped.value = flipped;
});

/** @param {Side} next */
function setSide(next) {
  const [first, second] = [view.a.peek(), /** @type {View} */ (secondView.peek())];
  const [left, right] = isFlipped.peek() ? [second, first] : [first, second];
  if (next === "b") setViews(right, left, false, true);
  else setViews(left, right, next === "both", false);
}

const SIDES = /** @type {[Side, string][]} */ ([["both", "Both"], ["a", "A"], ["b", "B"]]);

function Sides() {
  const [first, second] = [view.a.value, /** @type {View} */ (secondView.value)];
  const now = side(), [from, to] = isFlipped.value ? ["B", "A"] : ["A", "B"];
  return html`
    <div class="row"><span>Edit</span>
      <${Choice} id="compare-side" label="Video that the controls change" options=${SIDES} value=${now} onChange=${setSide} /></div>
    <div class="row">
      <button id="compare-swap" type="button" onClick=${() => setViews(second, first, now === "both")}>Swap</button>
      <button id="compare-copy" type="button" onClick=${() => setViews(first, first, now === "both")}>Copy ${from} to ${to}</button>
    </div>`;
}

/** @type {import("./index.js").Part} */
export const compare = {
  place: "explore",
  title: "Compare",
  Body: () => {
    const options = [["", "None"], ...sources.value.map(({ name }) => [name, name])];
    const { model } = view.b.value ?? {};
    if (model && !sources.value.some(({ name }) => name === model)) options.push([model, `${model} (not open)`]);
    return html`
      <${Field} id="compare-with" label="Compare with">
        <${Select} id="compare-with" options=${options} value=${view.b.value ? model ?? view.a.value.model : ""}
          onChange=${(/** @type {string} */ name) => batch(() => {
            view.b.value = name ? { ...(side() === "both" ? {} : view.b.peek()), model: name } : null;
            if (!name) isFlipped.value = false;
          })} /><//>
      ${secondView.value && html`<${Sides} />`}`;
  },
};
