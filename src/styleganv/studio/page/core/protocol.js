// Translation of the page's notation to the server's present API, which addresses models and results by numbers.
// No other file knows these numbers.

import { getJson } from "./api.js";
import { parseMix, parseTerms, resultOf, seedOf } from "./notation.js";
import { sources } from "./state.js";

/** @typedef {import("./state.js").View} View */
/** @typedef {{ number: number, kind: "text" | "clip", name: string, source: string,
 *   state: "running" | "done" | "failed" | "canceled", stage: string, fraction: number, remaining_seconds: number,
 *   error: string, can_stop: boolean }} Job a search, by the name of the source that it searches in */

/** Sources whose results exist, by number. @type {Map<number, string>} */
const resultSources = new Map();

/** @param {string} name */
function numberOf(name) {
  const number = sources.peek().findIndex((one) => one.name === name);
  if (number < 0) throw new Error(`${name} is not open in this studio: select another model.`);
  return number;
}

/** @param {string} name */
const modelUrl = (name) => `api/models/${numberOf(name)}`;

/** @returns {Promise<import("./state.js").Source[]>} */
export async function fetchSources() {
  /** @param {any} one */
  const kind = (one) => (one.is_run ? "run" : one.title === "real videos" ? "real" : "model");
  return (await getJson("api/models")).map((/** @type {any} */ one) => ({ ...one, kind: kind(one) }));
}

/** @param {View} view */
function oldParams(view) {
  const { content, motion, psi, label, grid } = view;
  const result = resultOf(content), seed = seedOf(content);
  if (result !== null && resultSources.get(result) !== view.model) {
    throw new Error(`${view.model} has no ${content}: it belongs to ${resultSources.get(result) ?? "another model"}.`);
  }
  if (result === null && seed === null) throw new Error(`Content must be a seed or a result, got ${content}: change it.`);
  // Without a motion of its own, a video has that of its content.
  const motionSeed = motion === null || motion === content ? (result === null ? seed : null) : seedOf(motion);
  if (motion !== null && motion !== content && motionSeed === null) {
    throw new Error(`Motion must be a seed, got ${motion}: change it.`);
  }
  const mix = view.mix === null ? null : parseMix(view.mix);
  if (view.mix !== null && (!mix || seedOf(mix.term) === null)) {
    throw new Error(`Style mixing must be SEED:FIRST-LAST@AMOUNT, got ${view.mix}: change it.`);
  }
  const oldMix = mix && { seed: seedOf(mix.term), first: mix.first, last: mix.last, amount: mix.amount };
  return {
    seed: seed ?? 0, motion_seed: motionSeed, psi, label, mix: oldMix, grid: grid ?? [1, 1],
    directions: view.directions, search_result: result,
  };
}

/** Return the sentence that says why a text cannot be the content or motion, or "". @param {string} text */
export function termProblem(text) {
  const isKnown = parseTerms(text) && (seedOf(text) !== null || resultOf(text) !== null);
  return isKnown ? "" : "Enter a whole number from 0 to 2147483647.";
}

/** @param {View} view @param {{ id: number, start: number, fps: number, numFrames: number }} part */
export const frameRequest = (view, { id, start, fps, numFrames }) => JSON.stringify(
  { id, model: numberOf(view.model), params: oldParams(view), start, fps, num_frames: numFrames },
);

/** Return the header of a message and the encoded images. @param {ArrayBuffer} data */
export function unpackFrames(data) {
  const length = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let offset = 4 + length;
  const images = header.sizes.map((/** @type {number} */ size) =>
    new Blob([new Uint8Array(data, (offset += size) - size, size)], { type: header.type ?? "image/jpeg" }));
  return { header, images };
}

/** @param {View} view @param {{ start: number, seconds: number, fps: number, speed: number, format: string }} part */
export const exportBody = (view, part) => ({ model: numberOf(view.model), params: oldParams(view), ...part });

/** @param {View} view @param {string} text @param {number} numSteps */
export const textJob = (view, text, numSteps) =>
  ({ path: `${modelUrl(view.model)}/text`, body: { params: oldParams(view), text, num_steps: numSteps } });

/** @param {string} name @param {Record<string, string>} query */
export const clipJobUrl = (name, query) => `${modelUrl(name)}/clip?${new URLSearchParams(query)}`;

/** @returns {Promise<Job[]>} */
export async function fetchJobs() {
  const jobs = await getJson("api/jobs");
  const list = jobs.map((/** @type {any} */ job) => ({ ...job, source: sources.peek()[job.model]?.name ?? "" }));
  resultSources.clear();
  for (const job of list) if (job.state === "done") resultSources.set(job.number, job.source);
  return list;
}

/** @param {string} name */
export const directionsUrl = (name) => `${modelUrl(name)}/directions`;
/** @param {string} name */
export const trainingUrl = (name) => `${modelUrl(name)}/training`;
/** @param {string} name */
export const curvesUrl = (name) => `${modelUrl(name)}/curves`;
/** @param {string} name @param {number} index */
export const snapshotUrl = (name, index) => `${modelUrl(name)}/snapshots/${index}`;
