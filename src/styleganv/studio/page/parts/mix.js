// Style mixing: which layers come from other contents, painted on a matrix of sources and layers.

import { formatMix, parseMix } from "../core/notation.js";
import { settledView } from "../core/settled.js";
import { html, signal } from "../core/ui.js";
import { change, source, view } from "../core/state.js";
import { IconButton } from "../widgets/button.js";
import { Check, ErrorText } from "../widgets/field.js";
import { Seed } from "../widgets/seed.js";
import { Slider } from "../widgets/slider.js";
import { Thumbnail } from "../widgets/thumbnail.js";

/** @typedef {import("../core/notation.js").Mix} Mix */

const MAX_ROWS = 4;
const GROUPS = ["Coarse", "Middle", "Fine"];
const randomSeed = () => String(Math.floor(Math.random() * 1e6));
/** What the matrix shows, also while nothing is mixed, and rows without layers. */
const rows = signal(/** @type {Mix[]} */ ([{ term: "1", layers: [0, 1, 2, 3], amount: 1 }]));
/** Whether the pointer adds or removes layers while it is down, or null. @type {boolean | null} */
let isAdding = null;

/** @param {Mix[]} next */
function set(next, isOn = true) {
  rows.value = next;
  change({ mix: isOn ? formatMix(next) : null });
}

/** @param {number} index @param {Partial<Mix>} values */
const setRow = (index, values) =>
  set(rows.peek().map((row, i) => (i === index ? { ...row, ...values } : row)), view.a.peek().mix !== null);

/** Take a layer from one row only, or from none. @param {number} index @param {number} layer @param {boolean} isTaken */
function paint(index, layer, isTaken) {
  const old = view.a.peek().mix === null ? rows.peek().map((row) => ({ ...row, layers: [] })) : rows.peek();
  set(old.map((row, i) => {
    const layers = row.layers.filter((one) => one !== layer);
    return { ...row, layers: i === index && isTaken ? [...layers, layer].sort((a, b) => a - b) : layers };
  }));
}

/** Return the row and layer of a cell. @param {Element | null} element */
function cellOf(element) {
  const { row, layer } = /** @type {HTMLElement | null} */ (element?.closest("[data-layer]") ?? null)?.dataset ?? {};
  return layer === undefined ? null : { row: Number(row), layer: Number(layer) };
}

/** @param {PointerEvent} event */
function press(event) {
  const element = /** @type {HTMLElement} */ (event.target), cell = cellOf(element);
  if (!cell) return;
  isAdding = element.getAttribute("aria-checked") !== "true";
  /** @type {Element} */ (event.currentTarget).setPointerCapture(event.pointerId);
  paint(cell.row, cell.layer, isAdding);
}

/** @param {PointerEvent} event */
function drag(event) {
  const cell = isAdding === null ? null : cellOf(document.elementFromPoint(event.clientX, event.clientY));
  const isTaken = cell && view.a.peek().mix !== null && rows.peek()[cell.row].layers.includes(cell.layer);
  if (cell && isTaken !== isAdding) paint(cell.row, cell.layer, /** @type {boolean} */ (isAdding));
}

/** @param {KeyboardEvent} event */
function move(event) {
  const cell = cellOf(/** @type {Element} */ (event.target));
  const offset = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!cell || (!offset && event.key !== " ")) return;
  event.preventDefault();
  if (!offset) return paint(cell.row, cell.layer, /** @type {Element} */ (event.target).getAttribute("aria-checked") !== "true");
  document.getElementById(`mix-${cell.row + offset[0]}-${cell.layer + offset[1]}`)?.focus();
}

/** @param {{ row: Mix, index: number, numLayers: number, isOn: boolean }} props */
function Row({ row, index, numLayers, isOn }) {
  const id = (/** @type {string} */ name) => (index ? `${name}-${index + 1}` : name);
  return html`
    <div class="mix-row" role="group" aria-label=${`Source ${index + 1}`}>
      <${Thumbnail} of=${{ ...settledView.value, content: row.term, mix: null, grid: null }} frames=${1} />
      <div>
        <${Seed} id=${id("mix-seed")} label="Seed" name=${id("mix-seed")} value=${row.term}
          onChange=${(/** @type {string} */ term) => setRow(index, { term })} onDice=${() => setRow(index, { term: randomSeed() })} />
        <${Slider} id=${id("mix-amount")} label="Amount" value=${row.amount} min=${0} max=${1} step=${0.02} reset=${1}
          onInput=${(/** @type {number} */ amount) => setRow(index, { amount })} /></div>
      ${index > 0 && html`<${IconButton} id=${`mix-remove-${index + 1}`} icon="close" label=${`Remove source ${index + 1}`}
        onClick=${() => set(rows.peek().filter((_, i) => i !== index), isOn)} />`}
      <div class="cells" style=${{ gridTemplateColumns: `repeat(${numLayers}, 1fr)` }}>${Array.from({ length: numLayers }, (_, layer) => html`
        <span key=${layer} id=${`mix-${index}-${layer}`} role="checkbox" data-row=${index} data-layer=${layer} data-moves
          tabindex=${layer === 0 ? 0 : -1} aria-checked=${isOn && row.layers.includes(layer) ? "true" : "false"}
          aria-label=${`Layer ${layer} from source ${index + 1}`} title=${`Layer ${layer}`}></span>`)}</div>
    </div>`;
}

function Body() {
  const { mix } = view.a.value;
  const isOn = mix !== null, numLayers = source.value?.num_layers ?? 1;
  if (mix !== null && formatMix(rows.value) !== mix) { // e.g. after undo
    const read = parseMix(mix);
    if (read.length) rows.value = read;
  }
  const all = rows.value;
  return html`
    <${Check} id="mix" label="Mix in other contents" checked=${isOn} onChange=${(/** @type {boolean} */ checked) => {
      const isEmpty = all.every(({ layers }) => !layers.length);
      set(isEmpty ? [{ ...all[0], layers: [0, 1, 2, 3].slice(0, numLayers) }, ...all.slice(1)] : all, checked);
    }} />
    <div id="mix-rows" onPointerDown=${press} onPointerMove=${drag} onPointerUp=${() => { isAdding = null; }}
      onPointerCancel=${() => { isAdding = null; }} onKeyDown=${move}>
      ${all.map((row, index) => html`<${Row} key=${index} row=${row} index=${index} numLayers=${numLayers} isOn=${isOn} />`)}
    </div>
    <div class="cell-groups" aria-hidden="true">${GROUPS.map((name) => html`<span key=${name}>${name}</span>`)}</div>
    ${all.length < MAX_ROWS && html`<button id="mix-add" type="button"
      onClick=${() => set([...all, { term: randomSeed(), layers: [], amount: 1 }], isOn)}>Add a source</button>`}
    <${ErrorText} of="mix" />`;
}

/** @type {import("./index.js").Part} */
export const mix = { place: "edit", title: "Style mixing", isShown: () => Boolean(source.value?.num_layers), Body };
