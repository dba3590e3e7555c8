// The x–t slice: the middle row of each frame, below those of earlier frames.

import { $, on } from "./dom.js";

const NUM_ROWS = 144;

export function drawSlice(canvas) {
  if ($("slice-figure").hidden) return;
  const slice = $("slice");
  const context = slice.getContext("2d");
  if (slice.width !== canvas.width || slice.height !== NUM_ROWS) {
    Object.assign(slice, { width: canvas.width, height: NUM_ROWS });
  }
  context.drawImage(slice, 0, 1, slice.width, NUM_ROWS - 1, 0, 0, slice.width, NUM_ROWS - 1);
  context.drawImage(canvas, 0, canvas.height >> 1, canvas.width, 1, 0, NUM_ROWS - 1, canvas.width, 1);
}

on("show-slice", "change", () => { $("slice-figure").hidden = !$("show-slice").checked; });
