// The x–t slice: the middle row of each frame, below those of earlier frames.

import { players } from "../core/playback.js";
import { addShortcut } from "../core/shortcuts.js";
import { html, signal, useEffect, useRef } from "../core/ui.js";
import { view } from "../core/state.js";
import { Check } from "../widgets/field.js";

const NUM_ROWS = 144;
const BORDER = 2; // pixels between the cells of a grid
const isVisible = signal(false);

addShortcut("x", "x", "Show or hide the x–t slice", () => { isVisible.value = !isVisible.value; });

/** Return the middle row of a frame; of a grid, the middle row of its middle cell. @param {number} height */
export function middleRow(height, numRows = 1) {
  const cell = (height - BORDER * (numRows - 1)) / numRows;
  return Math.floor(numRows / 2) * (cell + BORDER) + Math.floor(cell / 2);
}

/** @param {HTMLCanvasElement} slice @param {HTMLCanvasElement} canvas */
function drawRow(slice, canvas) {
  const { width, height } = canvas;
  const row = middleRow(height, view.a.peek().grid?.[0]);
  if (slice.width !== width) Object.assign(slice, { width, height: NUM_ROWS });
  const context = slice.getContext("2d");
  context?.drawImage(slice, 0, 1, width, NUM_ROWS - 1, 0, 0, width, NUM_ROWS - 1);
  context?.drawImage(canvas, 0, row, width, 1, 0, NUM_ROWS - 1, width, 1);
}

function View() {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    const listener = (/** @type {HTMLCanvasElement} */ frame) => { if (canvas.current) drawRow(canvas.current, frame); };
    players.a.frameListeners.add(listener);
    return () => { players.a.frameListeners.delete(listener); };
  }, []);
  return html`
    <figure id="slice-figure"><canvas id="slice" ref=${canvas} width="1" height=${NUM_ROWS} role="img" aria-label="x–t slice" />
      <figcaption class="badge">Middle row of the frame over time, newest at the bottom</figcaption></figure>`;
}

/** @type {import("./index.js").Part} */
export const sliceView = { place: "video", isShown: () => isVisible.value, Body: View };

/** @type {import("./index.js").Part} */
export const slice = {
  place: "explore",
  title: "Inspect",
  Body: () => html`<${Check} id="show-slice" label="x–t slice" checked=${isVisible.value}
    onChange=${(/** @type {boolean} */ checked) => { isVisible.value = checked; }} />`,
};
