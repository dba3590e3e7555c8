// Directions: estimated by the server on request, then one slider per direction.

import { request, runAction } from "./api.js";
import { $, on, setOutput } from "./dom.js";
import { refresh } from "./playback.js";
import { currentModel, state } from "./state.js";

const MAX_STRENGTH = 4; // standard deviations

export function resetDirections() {
  $("directions").replaceChildren();
  $("find-directions").hidden = false;
  $("directions-group").hidden = !currentModel().num_layers;
}

function createSlider(name) {
  const [row, input, output] = ["label", "input", "output"].map((tag) => document.createElement(tag));
  const range = { min: -MAX_STRENGTH, max: MAX_STRENGTH, step: 0.1, value: 0 };
  Object.assign(input, { type: "range", ...range, id: `direction-${name.replace(" ", "-")}` });
  output.htmlFor = input.id;
  output.textContent = "0.0";
  row.append(name, input, output);
  input.addEventListener("input", () => {
    state.params.directions[name] = Number(input.value);
    setOutput(input.id, Number(input.value).toFixed(1));
    refresh();
  });
  return row;
}

on("find-directions", "click", () => runAction($("find-directions"), "Finding directions…", async () => {
  const number = state.model;
  const names = await (await request(`api/models/${number}/directions`)).json();
  if (number !== state.model || !names.length) return;
  $("find-directions").hidden = true;
  $("directions").replaceChildren(...names.map(createSlider));
}));
