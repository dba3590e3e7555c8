// Content and motion: seeds, search results, truncation, class, style mixing and the grid.

import { $, on, randomSeed, readSeed, setControl, setOutput } from "./dom.js";
import { refresh } from "./playback.js";
import { currentModel, defaultParams, state } from "./state.js";

const readOption = (id) => ($(id).value === "" ? null : Number($(id).value));

export function setSeed(seed) {
  state.params.seed = seed;
  if (readSeed("seed") !== seed) $("seed").value = seed;
  selectSource(null);
}

export function setMotionSeed(seed) {
  state.params.motion_seed = seed;
  $("result-motion").checked = false;
  if (readSeed("motion-seed") !== seed) $("motion-seed").value = seed;
  refresh();
}

export function randomizeUnlocked() {
  if (!$("lock-content").checked) setSeed(randomSeed());
  if (!$("lock-motion").checked) setMotionSeed(randomSeed());
}

// Take the content of a search result (by number) or of the seed (null).
export function selectSource(result) {
  if (result !== state.params.search_result) {
    state.params.search_result = result;
    $("source").value = result ?? "";
    $("result-motion-row").hidden = result === null;
    $("result-motion").checked = result !== null;
    state.params.motion_seed = result === null ? readSeed("motion-seed") : null;
    $("grid-group").hidden = result !== null;
  }
  if (result !== null) removeEdits();
  refresh();
}

// A search result already contains the edits that led to it.
function removeEdits() {
  const sliders = [...$("directions").querySelectorAll("input")].map((slider) => [slider.id, 0]);
  for (const [id, value] of [["psi", 1], ["rows", 1], ["columns", 1], ["class", ""], ["labels", ""], ...sliders]) setControl(id, value);
  $("mix").checked = false;
  updateMix();
}

function updateMix() {
  const [first, last, amount] = ["mix-first", "mix-last", "mix-amount"].map((id) => Number($(id).value));
  setOutput("mix-first", first);
  setOutput("mix-last", last);
  setOutput("mix-amount", amount.toFixed(2));
  const layers = { first: Math.min(first, last), last: Math.max(first, last) };
  state.params.mix = $("mix").checked ? { seed: readSeed("mix-seed"), ...layers, amount } : null;
  refresh();
}

function updateGrid() {
  for (const id of ["rows", "columns"]) setOutput(id, $(id).value);
  state.params.grid = [Number($("rows").value), Number($("columns").value)];
  refresh();
}

// Reset the controls to the defaults of the current model, and hide those that it does not support.
export function resetContent() {
  const model = currentModel();
  state.params = defaultParams();
  for (const id of ["seed", "motion-seed"]) $(id).value = 0;
  for (const id of ["rows", "columns", "mix-amount"]) $(id).value = 1;
  for (const id of ["mix-first", "mix-last"]) $(id).max = Math.max(0, model.num_layers - 1);
  $("mix").checked = false;
  $("source").value = "";
  $("result-motion-row").hidden = true;
  $("grid-group").hidden = false;
  $("class").replaceChildren(new Option("From seed", ""), ...model.class_names.map((name, i) => new Option(name, i)));
  $("class-row").hidden = !model.class_names.length;
  $("labels").value = "";
  $("labels").placeholder = $("labels").title = `From seed, or ${model.label_hint}`;
  $("labels-row").hidden = !model.label_hint;
  $("psi-row").hidden = !model.supports_truncation;
  $("motion-group").hidden = $("rows-row").hidden = !model.supports_motion_seed;
  $("mix-group").hidden = !model.num_layers;
  setControl("psi", 1);
  updateGrid();
  updateMix();
}

on("randomize", "click", randomizeUnlocked);
on("seed", "input", () => setSeed(readSeed("seed")));
on("motion-seed", "input", () => setMotionSeed(readSeed("motion-seed")));
on("randomize-content", "click", () => setSeed(randomSeed()));
on("randomize-motion", "click", () => setMotionSeed(randomSeed()));
on("source", "change", () => selectSource(readOption("source")));
on("result-motion", "change", () => {
  state.params.motion_seed = $("result-motion").checked ? null : readSeed("motion-seed");
  refresh();
});
on("psi", "input", () => {
  state.params.psi = Number($("psi").value);
  setOutput("psi", state.params.psi.toFixed(2));
  refresh();
});
on("class", "change", () => { state.params.label = readOption("class"); refresh(); });
on("labels", "change", () => { state.params.label = $("labels").value.trim() || null; refresh(); });
for (const id of ["mix", "mix-amount", "mix-seed", "mix-first", "mix-last"]) on(id, "input", updateMix);
on("mix-all", "click", () => {
  $("mix-first").value = 0;
  $("mix-last").value = $("mix-last").max;
  $("mix").checked = true;
  updateMix();
});
on("randomize-mix", "click", () => {
  $("mix-seed").value = randomSeed();
  $("mix").checked = true;
  updateMix();
});
for (const id of ["rows", "columns"]) on(id, "input", updateGrid);
