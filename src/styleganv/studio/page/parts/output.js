// Output: a window for a second display, and recording.

import { toQuery } from "../core/address.js";
import { players } from "../core/playback.js";
import { html, signal, useEffect, useRef } from "../core/ui.js";
import { audioTracks } from "../perform/audio.js";
import { announceMirror, numMirrors } from "../perform/mirrors.js";
import { FORMATS, Recorder, scalesFor } from "../perform/recorder.js";
import { addTargets } from "../perform/targets.js";
import { view } from "../core/state.js";
import { ActionButton } from "../widgets/button.js";
import { Field, Select } from "../widgets/field.js";
import { Stage } from "./stage.js";

const MIN_SIDE = 512; // pixels of a recording, by default
const SHOWN_MS = 500;

/** Return the place of another display as features of a window; "" if there is none, or the browser does not say. */
async function secondDisplay() {
  try {
    const { screens, currentScreen } = await /** @type {any} */ (window).getScreenDetails();
    const { availLeft, availTop, availWidth, availHeight } = screens.find((/** @type {any} */ one) => one !== currentScreen);
    return `left=${availLeft},top=${availTop},width=${availWidth},height=${availHeight}`;
  } catch { return ""; }
}

async function openWindow() {
  const features = (await secondDisplay()) || "width=800,height=800";
  if (!window.open(`./?stage=only&${toQuery().slice(1)}`, "styleganv-stage", `popup,${features}`)) {
    throw new Error("The browser blocked the window: allow pop-ups of this site.");
  }
}

/** The stage without controls: the same frames as the window that opened it, or its own if there is none. */
export function StageOnly() {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    const timer = canvas.current ? announceMirror(canvas.current) : 0;
    const toggle = (/** @type {Event} */ event) => {
      if (event instanceof KeyboardEvent && event.key !== "f") return;
      if (document.fullscreenElement) document.exitFullscreen(); else document.documentElement.requestFullscreen?.();
    };
    addEventListener("keydown", toggle);
    addEventListener("dblclick", toggle);
    return () => { clearInterval(timer); removeEventListener("keydown", toggle); removeEventListener("dblclick", toggle); };
  }, []);
  return html`<main class="stage-only">${window.opener ? html`
    <figure class="screen"><canvas id="mirror" class="picture" ref=${canvas} width="1" height="1" role="img" aria-label="Video" /></figure>`
    : html`<${Stage} />`}</main>`;
}

const recorder = signal(/** @type {Recorder | null} */ (null));
const recorded = signal({ seconds: 0, megabytes: 0 });
const format = signal(String(FORMATS[0]?.[0] ?? ""));
const chosenScale = signal(/** @type {number | null} */ (null));
const recordError = signal("");

function startRecording() {
  recordError.value = "";
  try {
    recorder.value = new Recorder(format.peek(), scale(), audioTracks());
  } catch {
    recordError.value = "The browser cannot record this: choose another format or a smaller size.";
  }
}

async function stopRecording() {
  const done = /** @type {Recorder} */ (recorder.peek());
  recorder.value = null;
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await done.stop());
    const name = `${view.a.peek().model} ${new Date().toISOString().slice(0, 19)}`.replace(/[^\w.-]+/g, "-");
    link.download = `${name}.${FORMATS.find(([type]) => type === format.peek())?.[2]}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    recordError.value = /** @type {Error} */ (error).message;
  }
}

const toggleRecording = () => (recorder.peek() ? stopRecording() : startRecording());
addTargets(() => [{ key: "record", label: "Start or stop recording", controls: ["record"], run: toggleRecording }]);
addEventListener("beforeunload", (event) => { if (recorder.peek()) event.preventDefault(); });
setInterval(() => {
  const now = recorder.peek();
  if (now?.error) stopRecording();
  else if (now) recorded.value = { seconds: now.seconds, megabytes: now.numBytes / 1e6 };
}, SHOWN_MS);

/** The scale that is chosen, as far as it is possible; by default, the first that is not tiny. */
function scale() {
  const scales = scalesFor(Math.max(...players.a.size.value));
  const side = Math.min(...players.a.size.value);
  const natural = scales.find((one) => one * side >= MIN_SIDE) ?? scales[scales.length - 1];
  return chosenScale.value && scales.includes(chosenScale.value) ? chosenScale.value : natural;
}

function Recording() {
  const [width, height] = players.a.size.value;
  const { seconds, megabytes } = recorded.value;
  if (!FORMATS.length) return html`<p class="hint">This browser cannot record: use a newer one.</p>`;
  return html`
    <${Field} id="record-format" label="Format"><${Select} id="record-format" options=${FORMATS.map(([type, name]) => [type, name])}
      value=${format.value} onChange=${(/** @type {string} */ type) => { format.value = type; }} /><//>
    <${Field} id="record-scale" label="Size"><${Select} id="record-scale" value=${scale()}
      options=${scalesFor(Math.max(width, height)).map((one) => [one, `${one * width}×${one * height}`])}
      onChange=${(/** @type {string} */ text) => { chosenScale.value = Number(text); }} /><//>
    <div class="row">
      <button id="record" type="button" class=${recorder.value ? "recording" : ""} onClick=${toggleRecording}>
        ${recorder.value ? "Stop and save" : "Record"}</button>
      ${recorder.value && html`<span id="recorded" class="unit">${seconds.toFixed(0)} s, ${megabytes.toFixed(1)} MB</span>`}
    </div>
    <p class="error" role="alert" hidden=${!recordError.value}>${recordError.value}</p>`;
}

/** @type {import("./index.js").Part} */
export const secondWindow = {
  place: "perform",
  title: "Second display",
  Body: () => html`
    <div class="row"><${ActionButton} id="open-window" text="Open video window" action=${openWindow} /></div>
    <p class="hint">${numMirrors.value ? "Open. Press f in it for full screen." : "The controls stay here."}</p>`,
};
/** @type {import("./index.js").Part} */
export const recording = { place: "perform", title: "Recording", Body: Recording };
