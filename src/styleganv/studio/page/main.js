// The entry point: load the list of models, open the first, and start playback.

import { resetContent } from "./content.js";
import { resetDirections } from "./directions.js";
import { $, on, setControl, showMessage } from "./dom.js";
import "./export.js";
import { mainPlayer, refresh, startPlayback } from "./playback.js";
import { followJobs, showJobs } from "./search.js";
import "./shortcuts.js";
import { clock, currentModel, loadModels, models, state } from "./state.js";
import "./theme.js";
import { updateTraining } from "./training.js";

// Open the current model with default settings.
function openModel() {
  const model = currentModel();
  clock.time = 0;
  setControl("speed", 0);
  setControl("fps", Math.round(model.fps));
  $("fps").disabled = $("speed").disabled = !model.supports_any_fps;
  $("command").hidden = true;
  document.title = `${model.name} – styleganv studio`;
  resetContent();
  resetDirections();
  showJobs();
  updateTraining();
  refresh();
  mainPlayer.drawnEpoch = mainPlayer.epoch; // Do not draw frames of the model before.
}

on("model", "change", () => { state.model = Number($("model").value); openModel(); });
on("reset", "click", openModel);

async function start() {
  try {
    await loadModels();
  } catch {
    showMessage("Cannot reach the studio: check that it is running.", true);
    return;
  }
  const title = (model) => `${model.name} (${model.title}, ${model.width}×${model.height})`;
  $("model").replaceChildren(...models.map((model, i) => new Option(title(model), i)));
  $("compare-with").append(...models.map((model, i) => new Option(model.name, i)));
  openModel();
  startPlayback();
  followJobs();
}

start();
