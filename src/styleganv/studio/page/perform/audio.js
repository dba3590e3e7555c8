// Audio: a microphone or a file, analyzed as it plays. Its level, bands and onsets are inputs of mappings.

import { effect, signal } from "../core/ui.js";
import { feed } from "./mappings.js";

/** @typedef {{ gain: number, smoothing: number }} Setting gain: for onsets, the sensitivity; smoothing: time constant in
 *   seconds, for onsets that of their decay */

const KEY = "audio";
export const [MAX_GAIN, MAX_AUDIO_SMOOTHING] = [4, 1];
export const FEATURES = /** @type {const} */ (["level", "low", "mid", "high", "onset"]);
/** @typedef {typeof FEATURES[number]} Feature */

/** @returns {Record<Feature, Setting>} */
const defaults = () => {
  const [band, onset] = [{ gain: 1, smoothing: 0.05 }, { gain: 1, smoothing: 0.15 }];
  return { level: { ...band }, low: { ...band }, mid: { ...band }, high: { ...band }, onset };
};
export const audioSettings = signal(defaults());
export const audioSource = signal(/** @type {"off" | "microphone" | "file"} */ ("off"));
export const audioError = signal("");
/** Values of the meters, which change too often to render on them. */
export const meters = { level: 0, low: 0, mid: 0, high: 0, onset: 0 };
/** Times of the last onsets, in seconds of the analysis. @type {number[]} */
export const onsets = [];

/** @type {AudioContext | null} */
let context = null;
/** @type {AudioWorkletNode | null} */
let analyzer = null;
/** What plays. @type {AudioNode | null} */
let input = null;
/** @type {MediaStream | null} */
let microphone = null;
/** @type {WeakMap<HTMLMediaElement, MediaElementAudioSourceNode>} */
const elementNodes = new WeakMap();
let lastTime = 0;

/** @param {import("./analysis.js").Measure} measure */
function take(measure) {
  const seconds = Math.max(0, measure.time - lastTime);
  lastTime = measure.time;
  for (const name of FEATURES) {
    const { gain, smoothing } = audioSettings.peek()[name];
    const rest = smoothing > 0 ? Math.exp(-seconds / smoothing) : 0;
    if (name === "onset") {
      meters.onset = measure.isOnset ? 1 : meters.onset * rest;
      feed("audio/onset", meters.onset, measure.isOnset);
    } else {
      const value = Math.min(1, gain * measure[name]);
      meters[name] = value + (meters[name] - value) * rest;
      feed(`audio/${name}`, meters[name]);
    }
  }
  if (measure.isOnset) onsets.splice(0, onsets.push(measure.time) - 100);
}

/** Return what analyzes; a click must have come before. */
async function openAnalyzer() {
  if (!isSecureContext) throw new Error("Browsers allow audio on HTTPS and on this machine only: open the studio there.");
  context ??= new AudioContext();
  await context.resume();
  if (!analyzer) {
    await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    analyzer = new AudioWorkletNode(context, "analyzer");
    analyzer.port.onmessage = ({ data }) => { if (input) take(data); };
    analyzer.connect(context.destination); // its output is silent
    effect(() => analyzer?.port.postMessage({ sensitivity: audioSettings.value.onset.gain }));
  }
  return { context, analyzer };
}

/** Stop listening. A file's element is left to the page. */
export function stopAudio() {
  input?.disconnect();
  microphone?.getTracks().forEach((track) => track.stop());
  input = microphone = null;
  audioSource.value = "off";
  FEATURES.forEach((name) => { meters[name] = 0; feed(`audio/${name}`, 0); });
}

/** Listen to a microphone, or throw an Error with a sentence for the user. */
export async function startMicrophone() {
  stopAudio();
  const nodes = await openAnalyzer();
  try {
    // Processing for calls would remove what is to be measured.
    const constraints = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    microphone = await navigator.mediaDevices.getUserMedia({ audio: constraints });
  } catch (error) {
    const isDenied = /** @type {Error} */ (error).name === "NotAllowedError";
    throw new Error(isDenied ? "The browser denied the microphone: allow it in the settings of this site."
      : "No microphone found: connect one.");
  }
  microphone.getTracks()[0].onended = () => {
    stopAudio();
    audioError.value = "The microphone was disconnected.";
  };
  input = nodes.context.createMediaStreamSource(microphone);
  input.connect(nodes.analyzer);
  audioSource.value = "microphone";
}

/** Listen to an element that plays a file. @param {HTMLMediaElement} element */
export async function startElement(element) {
  stopAudio();
  const nodes = await openAnalyzer();
  let node = elementNodes.get(element);
  if (!node) elementNodes.set(element, node = nodes.context.createMediaElementSource(element));
  node.connect(nodes.analyzer);
  node.connect(nodes.context.destination);
  input = node;
  audioSource.value = "file";
}

/** Return a track of what is playing, for a recording; none without audio. @returns {MediaStreamTrack[]} */
export function audioTracks() {
  if (!context || !input) return [];
  const destination = context.createMediaStreamDestination();
  input.connect(destination);
  return destination.stream.getAudioTracks();
}

/** Keep the settings in this browser. */
export function keepAudioSettings() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}"), settings = defaults();
    for (const name of FEATURES) {
      for (const [key, high] of /** @type {const} */ ([["gain", MAX_GAIN], ["smoothing", MAX_AUDIO_SMOOTHING]])) {
        const value = stored?.[name]?.[key];
        if (value >= 0 && value <= high) settings[name][key] = value;
      }
    }
    audioSettings.value = settings;
  } catch { /* of another version */ }
  effect(() => localStorage.setItem(KEY, JSON.stringify(audioSettings.value)));
}
