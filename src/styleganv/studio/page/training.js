// The training of a run: its latest numbers every few seconds, its curves and snapshots on request.

import { $, on, setOutput } from "./dom.js";
import { currentModel, state } from "./state.js";

const UPDATE_MS = 3000;
let numSnapshots = 0;

export async function updateTraining() {
  $("training-group").hidden = !currentModel()?.is_run;
  if (!currentModel()?.is_run) return;
  const number = state.model;
  try {
    const { num_snapshots, last } = await (await fetch(`api/models/${number}/training`)).json();
    if (number !== state.model) return;
    numSnapshots = num_snapshots;
    $("snapshot").max = Math.max(0, numSnapshots - 1);
    $("training").textContent = last ? describe(last) : "Training has just started.";
  } catch { /* The players report a lost connection. */ }
}

function describe({ clips_seen, clips_per_second, augment_p }) {
  const augment = augment_p === undefined ? "" : `, augment_p ${augment_p.toFixed(2)}`;
  return `${clips_seen.toLocaleString("en")} clips, ${clips_per_second.toFixed(1)} clips/s${augment}`;
}

function showSnapshot() {
  const index = Number($("snapshot").value);
  setOutput("snapshot", numSnapshots ? `${index + 1} of ${numSnapshots}` : "none yet");
  if (numSnapshots) $("snapshot-image").src = `api/models/${state.model}/snapshots/${index}`;
}

setInterval(updateTraining, UPDATE_MS);
on("snapshot", "input", showSnapshot);
on("show-training", "click", async () => {
  await updateTraining();
  $("curves").src = `api/models/${state.model}/curves?${Date.now()}`;
  $("snapshot").value = $("snapshot").max;
  showSnapshot();
  $("training-dialog").showModal();
});
