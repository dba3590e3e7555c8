// Audio: where it comes from, and how strong and smooth its features are.

import {
  FEATURES, MAX_AUDIO_SMOOTHING, MAX_GAIN, audioError, audioSettings, audioSource, meters, startElement, startMicrophone, stopAudio,
} from "../perform/audio.js";
import { html, signal, useEffect, useRef, useSignal } from "../core/ui.js";
import { Choice } from "../widgets/field.js";
import { Slider } from "../widgets/slider.js";
import { FEATURE_NAMES } from "./mappings.js";

/** @typedef {import("../perform/audio.js").Feature} Feature */
const CHOICES = [["off", "Off"], ["microphone", "Microphone"], ["file", "File"]];
const chosen = signal("off");
const fileName = signal("");
/** Plays the file, also while its controls are not shown. */
const player = document.createElement("audio");
Object.assign(player, { id: "audio-player", controls: true, loop: true });

/** @param {() => unknown} start */
async function tryTo(start) {
  audioError.value = "";
  try { await start(); } catch (error) { audioError.value = /** @type {Error} */ (error).message; }
}

/** @param {string} name */
function choose(name) {
  chosen.value = name;
  player.pause();
  if (name === "microphone") tryTo(startMicrophone);
  else { audioError.value = ""; stopAudio(); }
  if (name === "file" && player.src) tryTo(() => startElement(player));
}

player.onerror = () => {
  stopAudio();
  audioError.value = `The browser cannot play ${fileName.peek()}: choose a WAV, MP3, FLAC or Ogg file.`;
};

/** @param {any} event */
function open({ target }) {
  const [file] = target.files;
  if (!file) return;
  URL.revokeObjectURL(player.src);
  fileName.value = file.name;
  player.src = URL.createObjectURL(file);
  tryTo(async () => {
    await startElement(player);
    await player.play().catch(() => {}); // onerror says why
  });
}

function Player() {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => { place.current?.append(player); }, []);
  player.setAttribute("aria-label", fileName.value || "No file");
  return html`
    <div class="field"><label for="audio-file">File</label>
      <input id="audio-file" type="file" accept="audio/*,video/*" onChange=${open} /></div>
    <div ref=${place} hidden=${!fileName.value} />`;
}

/** @param {{ name: Feature }} props */
function Feature({ name }) {
  const isOpen = useSignal(false);
  const { gain, smoothing } = audioSettings.value[name];
  /** @param {Partial<import("../perform/audio.js").Setting>} values */
  const set = (values) => {
    audioSettings.value = { ...audioSettings.value, [name]: { ...audioSettings.value[name], ...values } };
  };
  return html`
    <div class="row feature">
      <button id=${`audio-${name}`} type="button" class="name" aria-expanded=${isOpen.value}
        onClick=${() => { isOpen.value = !isOpen.value; }}>${FEATURE_NAMES[name]}</button>
      <meter id=${`meter-${name}`} min="0" max="1" value="0" aria-label=${FEATURE_NAMES[name]} />
    </div>
    ${isOpen.value && html`
      <${Slider} id=${`audio-${name}-gain`} label=${name === "onset" ? "Sensitivity" : "Gain"} value=${gain} min=${0} max=${MAX_GAIN}
        step=${0.05} reset=${1} onInput=${(/** @type {number} */ value) => set({ gain: value })} />
      <${Slider} id=${`audio-${name}-smoothing`} label=${name === "onset" ? "Decay" : "Smoothing"} unit="s" value=${smoothing} min=${0}
        max=${MAX_AUDIO_SMOOTHING} step=${0.01} reset=${name === "onset" ? 0.15 : 0.05}
        onInput=${(/** @type {number} */ value) => set({ smoothing: value })} />`}`;
}

function Meters() {
  useEffect(() => {
    let frame = requestAnimationFrame(function follow() {
      for (const name of FEATURES) {
        const meter = /** @type {HTMLMeterElement | null} */ (document.getElementById(`meter-${name}`));
        if (meter && Math.abs(meter.value - meters[name]) > 0.005) meter.value = meters[name];
      }
      frame = requestAnimationFrame(follow);
    });
    return () => cancelAnimationFrame(frame);
  }, []);
  return html`<div class="features">${FEATURES.map((name) => html`<${Feature} key=${name} name=${name} />`)}</div>`;
}

const Body = () => html`
  <${Choice} id="audio" label="Audio" options=${CHOICES} value=${chosen.value} onChange=${choose} />
  <p class="error" role="alert" hidden=${!audioError.value}>${audioError.value}</p>
  ${chosen.value === "file" && html`<${Player} />`}
  ${audioSource.value !== "off" && html`<${Meters} />`}`;

/** @type {import("./index.js").Part} */
export const audio = { place: "perform", title: "Audio", Body };
