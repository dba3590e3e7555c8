// Requests in the server's words, and what its answers mean. Videos are described in the notation of core/notation.js.

import { getJson } from "./api.js";
import { formatDirections, formatGrid } from "./notation.js";

/** @typedef {import("./state.js").View} View */
/** @typedef {import("./state.js").Source} Source */
/** @typedef {{ number: number, kind: "text" | "clip" | "directions" | "export", name: string, source: string,
 *   state: "waiting" | "running" | "done" | "failed" | "canceled", stage: string, fraction: number,
 *   remaining_seconds: number, error: string, can_stop: boolean, address: string, command: string,
 *   files: Record<string, number> }} Job a text edit, projection, search for directions, or export; `source` is a name,
 *   `address` that of the page that started it, and `files` has sizes by name */

/** @returns {Promise<Source[]>} */
export const fetchSources = () => getJson("api/sources");

/** @returns {Promise<Job[]>} */
export const fetchJobs = () => getJson("api/jobs");

/** @typedef {import("./timeline.js").Video} Video */

/** @returns {Promise<Record<string, string>>} titles by name */
export const fetchFormats = () => getJson("api/formats");

/** Return the parameters of a view, without its source. @param {View} view */
export function paramsOf({ model: _, ...params }) {
  return params;
}

/** Return what identifies a video in a request. @param {Video} video */
const videoBody = ({ model, timeline, ...params }) => ({ source: model, ...(timeline ? { timeline } : { params }) });

/** @param {Video} video @param {{ id: number, start: number, fps: number, numFrames: number }} part */
export const frameRequest = (video, { id, start, fps, numFrames }) =>
  JSON.stringify({ ...videoBody(video), id, start, fps, num_frames: numFrames });

/** Return the address of a thumbnail: a few frames side by side. @param {View} view
 * @param {{ version: string, size: number, frames: number, step?: number }} part step: seconds between frames */
export function thumbnailUrl({ model, directions, grid, ...params }, part) {
  const values = { source: model, ...params, dir: formatDirections(directions), grid: formatGrid(grid), ...part };
  const stated = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `api/thumbnail?${new URLSearchParams(stated.map(([key, value]) => [key, String(value)]))}`;
}

/** @typedef {{ name: string, file: string, project: string, version: number }} Favorite file: relative path */

/** @returns {Promise<Favorite[]>} */
export const fetchFavorites = () => getJson("api/favorites");

/** @param {Favorite} favorite */
export const favoriteThumbnailUrl = ({ name, version }) => `api/favorites/thumbnail?${new URLSearchParams({ name, v: String(version) })}`;

/** Return the header of a message and the encoded images. @param {ArrayBuffer} data */
export function unpackFrames(data) {
  const length = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  let offset = 4 + length;
  const images = header.sizes.map((/** @type {number} */ size) =>
    new Blob([new Uint8Array(data, (offset += size) - size, size)], { type: header.type }));
  return { header, images };
}

/** @param {Video} video @param {{ start?: number, seconds?: number, fps?: number, speed?: number, format: string }} part
 *   only the format counts for a timeline */
export const commandBody = (video, part) => ({ ...videoBody(video), ...part });

/** Return the address of the thumbnail of a keyframe: frames side by side. @param {View} view @param {string} version of the source
 * @param {{ time: number, size: number, frames: number }} part */
export function keyframeUrl({ model, directions, grid: _, ...params }, version, { time, size, frames }) {
  const query = new URLSearchParams({ source: model, version, t: time.toFixed(3), size: String(size), frames: String(frames) });
  for (const [key, value] of Object.entries(params)) if (value !== null && value !== "") query.set(key, String(value));
  if (Object.keys(directions).length) query.set("dir", formatDirections(directions));
  return `api/thumbnail?${query}`;
}

/** @param {View} view @param {string} text @param {number} numSteps */
export const textJob = (view, text, numSteps) =>
  ({ path: "api/jobs/text", body: { source: view.model, params: paramsOf(view), text, num_steps: numSteps } });

/** @param {string} source @param {Record<string, string>} query */
export const clipJobUrl = (source, query) => `api/jobs/clip?${new URLSearchParams({ source, ...query })}`;

/** @param {string} source */
export const directionsUrl = (source) => `api/directions?source=${encodeURIComponent(source)}`;

/** Return the address of a file of a run. @param {string} run @param {string} path */
export const runUrl = (run, path) => `api/runs/${run.split("/").map(encodeURIComponent).join("/")}/${path}`;
