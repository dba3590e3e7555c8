// A random walk: a slow endless path through content, on a smooth curve through random seeds.

import { parseTerms } from "../core/notation.js";
import { addShortcut } from "../core/shortcuts.js";
import { between, largest } from "../core/terms.js";
import { effect, html, signal, untracked } from "../core/ui.js";
import { change, isGliding, source, view } from "../core/state.js";
import { isLocked } from "../widgets/lock.js";
import { Slider } from "../widgets/slider.js";

const STEP_MS = 80;
const MAX_ELAPSED = 0.5; // seconds, of a page in the background
const seconds = signal(12); // from seed to seed
let knots = /** @type {import("../core/notation.js").Term[][]} */ ([]);
let [fraction, steppedAt, timer, text] = [0, 0, 0, ""];

const randomKnot = () => [{ term: String(Math.floor(Math.random() * 1e6)), weight: 1 }];

function start() {
  if (isLocked("content")) return;
  text = view.a.peek().content;
  const here = largest(parseTerms(text) ?? [], 8);
  knots = [here, here, randomKnot(), randomKnot()];
  [fraction, steppedAt] = [0, performance.now()];
  timer = setInterval(step, STEP_MS);
  isGliding.value = true;
}

function stop() {
  clearInterval(timer);
  isGliding.value = false;
}

function step() {
  const now = performance.now();
  fraction += Math.min((now - steppedAt) / 1000, MAX_ELAPSED) / seconds.peek();
  steppedAt = now;
  if (fraction >= 1) {
    fraction -= 1;
    knots = [...knots.slice(1), randomKnot()];
  }
  text = between(knots, fraction);
  change({ content: text, ...(view.a.peek().grid && { grid: null }) });
}

// Whoever chooses another content ends the walk.
effect(() => { if (view.a.value.content !== text && isGliding.peek()) untracked(stop); });

const toggle = () => (isGliding.peek() ? stop() : start());

addShortcut("w", "w", "Start or stop the random walk", () => { if (source.peek()?.num_layers) toggle(); });

/** @type {import("./index.js").Part} */
export const walk = {
  place: "explore",
  title: "Random walk",
  isShown: () => Boolean(source.value?.num_layers),
  Body: () => html`
    <${Slider} id="walk-seconds" label="Per seed" unit="s" value=${seconds.value} min=${1} max=${60} step=${1} reset=${12}
      onInput=${(/** @type {number} */ value) => { seconds.value = value; }} />
    <button id="walk" type="button" class="toggle" aria-pressed=${isGliding.value} onClick=${toggle}>
      ${isGliding.value ? "Stop" : "Walk"}</button>`,
};
