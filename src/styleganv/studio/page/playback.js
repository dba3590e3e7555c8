// Playback: the clock, the two players that follow it, and the controls below the video.

import { $, on, setOutput } from "./dom.js";
import { Player } from "./player.js";
import { drawSlice } from "./slice.js";
import { clock, currentModel, state } from "./state.js";

const MAX_TICK_SECONDS = 0.25;
const TIMELINE_MS = 200; // A browser that paints without a GPU is too slow to update the time line on every tick.

export const mainPlayer = new Player($("screen"), () => state.model, { onFrame: drawSlice, onEnd: () => jump(0) });
export const secondPlayer = new Player($("second-screen"), () => state.secondModel);
const players = [mainPlayer, secondPlayer];
let timelineAt = 0;

export function startPlayback() {
  players.forEach((player) => player.connect());
  requestAnimationFrame(tick);
}

function tick(now) {
  const elapsed = Math.min((now - clock.last) / 1000, MAX_TICK_SECONDS);
  clock.last = now;
  // The clock waits for the first frame, so that a new video starts at its start.
  if (state.isPlaying && mainPlayer.hasFrames) clock.time += elapsed * state.speed;
  const hasDrawn = players.map((player) => { player.requestFrames(); return player.drawDue(); });
  if (hasDrawn.includes(true) || now - timelineAt > TIMELINE_MS) { showTime(); timelineAt = now; }
  requestAnimationFrame(tick);
}

function showTime() {
  const model = currentModel();
  if (!model) return;
  const timeline = $("timeline");
  const end = model.max_seconds ?? Math.max(60, 2 ** Math.ceil(Math.log2(Math.max(1, clock.time + 1))));
  if (Number(timeline.max) !== end) timeline.max = end;
  if (document.activeElement !== timeline || state.isPlaying) timeline.value = clock.time;
  if (document.activeElement !== $("time")) $("time").value = clock.time.toFixed(2);
}

// Show a changed state as soon as possible.
export function refresh() { players.forEach((player) => { player.reset(); player.requestFrames(); }); }

export function jump(time) {
  clock.time = Math.max(0, time);
  const model = currentModel();
  if (model?.max_seconds != null) clock.time = Math.min(clock.time, model.max_seconds - 1 / model.fps);
  refresh();
}

export function togglePlay() {
  state.isPlaying = !state.isPlaying;
  $("play").textContent = state.isPlaying ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", state.isPlaying ? "Pause" : "Play");
}

on("play", "click", togglePlay);
on("timeline", "input", () => jump(Number($("timeline").value)));
on("time", "change", () => jump(Number($("time").value) || 0));
on("speed", "input", () => {
  state.speed = 2 ** Number($("speed").value);
  setOutput("speed", `${Number(state.speed.toPrecision(2))}×`);
  refresh();
});
on("fps", "input", () => {
  state.fps = Number($("fps").value);
  setOutput("fps", `${state.fps} fps`);
  refresh();
});
on("compare-with", "change", () => {
  state.secondModel = $("compare-with").value === "" ? null : Number($("compare-with").value);
  $("second-figure").hidden = state.secondModel === null;
  refresh();
  secondPlayer.drawnEpoch = secondPlayer.epoch; // Do not draw frames of the model before.
});

let numCounted = 0;
setInterval(() => {
  $("displayed-fps").textContent = `${mainPlayer.numDrawn - numCounted} fps displayed`;
  numCounted = mainPlayer.numDrawn;
}, 1000);
