// The map: a plane through content or motion. Its center is what played when it was made; the address holds the place.

import { formatTerms, parseTerms } from "../core/notation.js";
import { settledView } from "../core/settled.js";
import { RANGE, largest, planeOf, pointOf } from "../core/terms.js";
import { html, signal, useRef } from "../core/ui.js";
import { change, source, view } from "../core/state.js";
import { Choice } from "../widgets/field.js";
import { isLocked } from "../widgets/lock.js";
import { clamp } from "../widgets/slider.js";
import { Thumbnail } from "../widgets/thumbnail.js";

/** @typedef {"content" | "motion"} Kind */

const [SIZE, STEP] = [7, 0.1];
const kind = signal(/** @type {Kind} */ ("content"));
/** The plane and the text whose place it is: it stays the same while the point moves. */
let last = { text: "", ...planeOf("0") };

/** @param {import("../core/state.js").View} now @param {Kind} which */
const textOf = ({ content, motion }, which) => (which === "content" ? content : motion ?? content);

/** @param {string} text */
function locate(text) {
  if (last.text !== text) last = { text, ...planeOf(text) };
  return last;
}

/** @param {number} x @param {number} y */
function go(x, y) {
  const which = kind.peek();
  if (isLocked(which)) return;
  const { plane } = locate(textOf(view.a.peek(), which));
  [x, y] = [clamp(x, -RANGE, RANGE), clamp(y, -RANGE, RANGE)];
  const text = pointOf(plane, x, y);
  last = { text, plane, x, y };
  change({ [which]: text, grid: null });
}

const randomSeed = () => String(Math.floor(Math.random() * 1e6));

/** Make the present place the center of a plane along two random seeds. */
function center() {
  const which = kind.peek();
  if (isLocked(which)) return;
  const terms = largest((parseTerms(textOf(view.a.peek(), which)) ?? []).filter(({ weight }) => weight));
  const axes = [randomSeed(), randomSeed()].map((term) => ({ term, weight: 0 }));
  change({ [which]: formatTerms([...terms, ...axes]), grid: null });
}

/** The pictures, which follow once the controls rest. */
function Tiles() {
  const settled = settledView.value, which = kind.value;
  const { plane } = locate(textOf(settled, which) === last.text ? last.text : textOf(view.a.peek(), which));
  const cells = Array.from({ length: SIZE * SIZE }, (_, i) => ({ i, column: i % SIZE, row: Math.floor(i / SIZE) }));
  const at = (/** @type {number} */ index) => RANGE * (2 * index / (SIZE - 1) - 1);
  return html`${cells.map(({ i, column, row }) => html`
    <${Thumbnail} key=${i} of=${{ ...settled, grid: null, [which]: pointOf(plane, at(column), -at(row)) }} frames=${1} size=${48}
      priority=${100 + Math.hypot(column - 3, row - 3)} />`)}`;
}

/** Where on the map a pointer is. @param {PointerEvent} event @param {HTMLElement} map */
function place(event, map) {
  const { left, top, width, height } = map.getBoundingClientRect();
  const scale = RANGE * SIZE / (SIZE - 1); // The outer pictures show the places at their middles.
  return /** @type {[number, number]} */ ([
    scale * (2 * (event.clientX - left) / width - 1), scale * (1 - 2 * (event.clientY - top) / height)]);
}

function Point() {
  const which = kind.value;
  const { x, y } = locate(textOf(view.a.value, which));
  /** @param {KeyboardEvent} event */
  function move(event) {
    const offset = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (event.key === "Home") go(0, 0);
    else if (offset) go(x + STEP * offset[0], y + STEP * offset[1]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  const percent = (/** @type {number} */ value) => `${50 + 50 * (SIZE - 1) / SIZE * value / RANGE}%`;
  return html`
    <span id="map-point" role="slider" tabindex="0" data-moves aria-label=${`Place on the map of ${which}`}
      aria-valuemin=${-RANGE} aria-valuemax=${RANGE} aria-valuenow=${x.toFixed(2)}
      aria-valuetext=${`${x.toFixed(2)} right, ${y.toFixed(2)} up`} onKeyDown=${move}
      style=${{ left: percent(x), top: percent(-y) }}></span>`;
}

function Map() {
  const map = useRef(/** @type {HTMLElement | null} */ (null));
  const drag = (/** @type {PointerEvent} */ event) => { if (map.current) go(...place(event, map.current)); };
  /** @param {PointerEvent} event */
  function grab(event) {
    event.preventDefault();
    map.current?.setPointerCapture(event.pointerId);
    document.getElementById("map-point")?.focus();
    drag(event);
  }
  return html`
    <div id="map" ref=${map} onPointerDown=${grab} onPointerMove=${(/** @type {PointerEvent} */ event) => {
      if (map.current?.hasPointerCapture(event.pointerId)) drag(event);
    }}><${Tiles} /><${Point} /></div>`;
}

const OPTIONS = /** @type {[Kind, string][]} */ ([["content", "Content"], ["motion", "Motion"]]);

/** @type {import("./index.js").Part} */
export const map = {
  place: "explore",
  title: "Map",
  isShown: () => Boolean(source.value?.num_layers),
  Body: () => html`
    <div class="row">
      <${Choice} id="map-kind" label="Map of" options=${OPTIONS} value=${kind.value}
        onChange=${(/** @type {Kind} */ which) => { kind.value = which; }} />
      <button id="map-center" type="button" onClick=${center}>New map around here</button></div>
    <${Map} />`,
};
