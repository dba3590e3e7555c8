/** The page: controls ⇄ view ⇄ address, and the screen. */

import * as address from "./address.js";
import { Player } from "./player.js";

/** Largest side of a drawn frame, in pixels: beyond, the browser's own scaling is smooth, too, and faster. */
const MAX_DRAWN = 1280;

const $ = (id) => document.getElementById(id);
const screen = $("screen"), source = document.createElement("canvas");

const model = await (await fetch("model/model.json")).json();
const isStill = model.motion === null;
let view = address.parse(location.search, model.fps);
let shown = view.t;

const device = new URLSearchParams(location.search).get("device");
const worker = new Worker(new URL(`worker.js${device ? `?device=${device}` : ""}`, import.meta.url), { type: "module" });
const player = new Player(worker, model.fps, show, report);
worker.addEventListener("message", ({ data }) => {
  if (data.progress !== undefined) $("progress").value = data.progress;
  if (data.ready) $("loading").hidden = true;
  if (data.device) $("device").textContent = `Frames come from the ${data.device}. `;
  if (data.fatal) report(`The model cannot be loaded (${data.fatal}): use a current browser, and copy the whole folder.`);
});
worker.addEventListener("error", () => report("This browser is too old: use a current one."));

function report(message) {
  $("message").textContent = message;
  $("loading").hidden = true;
}

function show(pixels, seconds) {
  if (source.width !== model.width) Object.assign(source, { width: model.width, height: model.height });
  source.getContext("2d").putImageData(new ImageData(pixels, model.width, model.height), 0, 0);
  shown = seconds;
  screen.dataset.time = String(seconds);
  draw();
  if (document.activeElement !== $("t")) $("t").value = seconds.toFixed(2);
}

/** Draw the frame in the size of the screen: smoother than the browser's own scaling. */
function draw() {
  const scale = Math.min($("stage").clientWidth / model.width, $("stage").clientHeight / model.height);
  const ratio = Math.min(window.devicePixelRatio || 1, MAX_DRAWN / (scale * Math.max(model.width, model.height)));
  const width = Math.round(model.width * scale * ratio), height = Math.round(model.height * scale * ratio);
  if (!source.width || !width) return;
  if (screen.width !== width || screen.height !== height) {
    Object.assign(screen, { width, height });
    Object.assign(screen.style, { width: `${width / ratio}px`, height: `${height / ratio}px` });
  }
  const context = screen.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
}

/** Show the values of the view in the controls. */
function fill() {
  for (const key of ["content", "motion", "label", "psi", "speed"]) $(key).value = view[key] ?? "";
  $("t").value = view.t.toFixed(2);
  $("psi-value").textContent = view.psi.toFixed(2);
  $("speed-value").textContent = `${view.speed.toFixed(2)}×`;
  $("play").textContent = view.play ? "Pause" : "Play";
  const motion = view.motion ?? view.content;
  screen.setAttribute("aria-label", isStill ? `Image, seed ${view.content}` : `Video, seed ${view.content}, motion seed ${motion}`);
}

/** Change the view, from the frame on screen on. The address gets a new entry, but only one while a control moves. */
function change(changes, isFinal = true) {
  view = { ...view, t: shown, ...changes };
  shown = view.t;
  remember(isFinal);
  begin();
}

function begin() {
  $("message").textContent = "";
  fill();
  player.start(view, isStill);
}

let remembered = location.search || location.pathname, isMoving = false;
function remember(isFinal) {
  const query = address.format(view) || location.pathname;
  if (!isMoving && query !== remembered) history.pushState(null, "", query);
  else history.replaceState(null, "", query);
  isMoving = !isFinal;
  remembered = query;
}

/** Keep the time in the address, less often than browsers allow. */
function rememberTime() {
  view.t = shown;
  remembered = address.format(view) || location.pathname;
  history.replaceState(null, "", remembered);
}

function seedField(key, fallback) {
  const field = $(key), random = () => String(Math.floor(Math.random() * 1e6));
  field.addEventListener("change", () => {
    const text = field.value.trim();
    if (text ? address.isSeed(text) : fallback === null) change({ [key]: text || fallback });
    else report(`The seed must be a whole number from 0 to 2⁶³ − 1, got ${text || "nothing"}: correct it.`);
  });
  $(`new-${key}`).addEventListener("click", () => change({ [key]: random() }));
}

seedField("content", undefined);
seedField("motion", null);
for (const key of ["psi", "speed"]) {
  $(key).addEventListener("input", () => change({ [key]: Number($(key).value) }, false));
  $(key).addEventListener("change", () => change({ [key]: Number($(key).value) }));
  $(key).addEventListener("dblclick", () => change({ [key]: 1 }));
}
$("label").addEventListener("change", () => change({ label: $("label").value.trim() || null }));
$("t").addEventListener("change", () => {
  const t = Number($("t").value.replace(",", ".")), last = address.MAX_FRAMES / model.fps;
  if ($("t").value.trim() && t >= 0 && t <= last) change({ t });
  else report(`The time must be 0 to ${Math.floor(last)} seconds, got ${$("t").value || "nothing"}: correct it.`);
});
const toggle = () => change({ play: !view.play });
const fullScreen = () => (document.fullscreenElement ? document.exitFullscreen() : $("stage").requestFullscreen());
$("play").addEventListener("click", toggle);
$("full").addEventListener("click", fullScreen);
$("stage").addEventListener("dblclick", fullScreen);
$("controls").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input:not([type=range])"), isButton = event.target.matches("button, a");
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && !isButton && !isStill) [toggle(), event.preventDefault()];
  if (event.key.toLowerCase() === "f") fullScreen();
});
window.addEventListener("popstate", () => {
  view = address.parse(location.search, model.fps);
  shown = view.t;
  remembered = location.search || location.pathname;
  begin();
});
window.addEventListener("pagehide", rememberTime);
new ResizeObserver(draw).observe($("stage"));

setInterval(() => {
  const rate = player.frames;
  player.frames = 0;
  $("rate").textContent = view.play && !isStill && rate ? `${rate} fps` : "";
  if (view.play && document.visibilityState === "visible" && !isStill) rememberTime();
}, 1000);

document.title = $("title").textContent = model.name;
$("about").append([model.title, model.license && `License: ${model.license}`].filter(Boolean).join(". "));
if (model.has_card) {
  const link = Object.assign(document.createElement("a"), { href: "card.txt", textContent: "Model card" });
  $("about").append(" ", link);
}
for (const name of model.labels.kind === "vector" ? [] : model.labels.names) $("label-names").append(new Option(name, name));
$("label-field").hidden = !model.num_classes;
for (const id of ["motion-field", "speed-field", "play", "rate"]) $(id).hidden = isStill;
$("t").parentElement.hidden = isStill;
$("full").hidden = !document.fullscreenEnabled;
begin();
