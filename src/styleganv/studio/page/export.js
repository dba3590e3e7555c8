// Export: the current video as a file, or as the command that generates it.

import { postJson, runAction } from "./api.js";
import { $, on } from "./dom.js";
import { clock, notation, state } from "./state.js";

// Keys and units are those of `ExportParams` in video_params.py.
const post = (path) => postJson(path, {
  model: state.model, params: notation(), start: clock.time, seconds: Number($("export-seconds").value),
  fps: state.fps, speed: state.speed, format: $("export-format").value,
});

on("export", "click", () => runAction($("export"), "Saving video…", async () => {
  const { seed, search_result } = state.params;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await (await post("api/export")).blob());
  link.download = `${search_result === null ? `seed${seed}` : `result${search_result}`}.${$("export-format").value}`;
  link.click();
  URL.revokeObjectURL(link.href);
}));

on("show-command", "click", () => runAction($("show-command"), "Show command", async () => {
  $("command").textContent = (await (await post("api/command")).json()).command;
  $("command").hidden = false;
}));
