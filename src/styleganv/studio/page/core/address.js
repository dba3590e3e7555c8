// The address is the state: reload, bookmark and share restore it. A timeline is in it as JSON in base64url; which
// keyframe is selected is not. For undo and redo, see history.js.

import { clock } from "./clock.js";
import { formatDirections, formatGrid, formatTimeline, parseDirections, parseGrid, parseTimeline } from "./notation.js";
import { restoreTimeline } from "./keyframes.js";
import { jump } from "./playback.js";
import { timeline } from "./timeline.js";
import { batch } from "./ui.js";
import { defaultParams, errors, findSource, isFlipped, page, setError, sources, tab, transport, VIDEO, view } from "./state.js";

/** @typedef {import("./state.js").View} View */

/** @type {Record<string, (text: string) => any>} */
const READ = {
  model: (text) => text,
  content: (text) => text,
  motion: (text) => text || null,
  psi: (text) => finite(text, 1),
  label: (text) => (text === "" ? null : /^\d{1,9}$/.test(text) ? Number(text) : text),
  mix: (text) => text || null,
  dir: parseDirections,
  grid: parseGrid,
};

/** @param {string | null} text @param {number} fallback */
const finite = (text, fallback) => (text?.trim() && Number.isFinite(Number(text)) ? Number(text) : fallback);

/** Return the pairs of an address. @param {Partial<View>} part @param {Record<string, any>} defaults
 * @param {string} prefix with one, null is stated, too */
function viewPairs(part, defaults, prefix = "") {
  /** @type {[string, string][]} */
  const pairs = [];
  for (const [key, value] of Object.entries(part)) {
    const isDefault = JSON.stringify(value) === JSON.stringify(defaults[key]);
    if (isDefault || (value === null && !prefix) || value === undefined) continue;
    if (key === "directions") pairs.push([`${prefix}dir`, formatDirections(/** @type {any} */ (value))]);
    else if (key === "grid") pairs.push([`${prefix}grid`, formatGrid(/** @type {any} */ (value))]);
    else pairs.push([`${prefix}${key}`, String(value ?? "")]);
  }
  return pairs;
}

/** Return the address of a page of runs. @param {import("./state.js").PageState} page */
export const runsQuery = ({ kind, run, others }) => formatQuery([
  ["view", kind], ...(kind === "run" ? [["run", run], ...others.map((name) => ["with", name])] : []),
]);

/** Names and lists remain readable: only what would end a value is escaped. @param {string[][]} pairs */
function formatQuery(pairs) {
  const escape = (/** @type {string} */ text) => encodeURIComponent(text).replace(/%(2C|3A|3B|40|2F|20)/g, (code) =>
    ({ "%2C": ",", "%3A": ":", "%3B": ";", "%40": "@", "%2F": "/", "%20": "+" }[code] ?? code));
  return `?${pairs.map(([key, value]) => `${key}=${escape(value)}`).join("&")}`;
}

/** Return the address of the present state. */
export function toQuery(time = clock.time % clock.period) {
  return page.value.kind === "video" ? videoQuery(time) : runsQuery(page.value);
}

/** @param {number} time */
function videoQuery(time) {
  const { content, motion, ...others } = view.a.value;
  // Without a motion, an address means that of the content: both are stated, or none.
  const seeds = content === "0" && motion === "0" ? {} : { content, motion };
  const { model, ...rest } = others;
  const pairs = viewPairs({ model, ...seeds, ...rest }, { ...defaultParams(), content: null, motion: null });
  if (time) pairs.push(["t", String(Number(time.toFixed(2)))]);
  if (transport.speed.value !== 1) pairs.push(["speed", String(transport.speed.value)]);
  const fps = Math.round(findSource(model)?.fps ?? 25);
  if (transport.fps.value !== fps) pairs.push(["fps", String(transport.fps.value)]);
  if (!transport.isPlaying.value) pairs.push(["play", "0"]);
  if (tab.value !== "explore") pairs.push(["tab", tab.value]);
  if (view.b.value) pairs.push(...viewPairs(view.b.value, {}, "b."));
  if (view.b.value && isFlipped.value) pairs.push(["side", "b"]);
  if (timeline.value) pairs.push(["timeline", formatTimeline(timeline.value)]);
  return formatQuery(pairs);
}

/** @param {URLSearchParams} query @param {string} prefix @returns {Partial<View>} */
function readView(query, prefix) {
  /** @type {any} */
  const part = {};
  for (const [key, read] of Object.entries(READ)) {
    const text = query.get(prefix + key);
    if (text) part[key === "dir" ? "directions" : key] = read(text);
  }
  return part;
}

/** A studio of runs alone starts with the list of them. @param {URLSearchParams} query
 * @returns {import("./state.js").PageState} */
function readPage(query) {
  const isBare = [...query.keys()].every((key) => key === "token");
  const onlyRuns = sources.peek().length > 0 && sources.peek().every(({ kind }) => kind === "run");
  const kind = query.get("view") ?? (isBare && onlyRuns ? "runs" : "video");
  const run = query.get("run") ?? "";
  if (kind === "run" && run) return { kind, run, others: [...new Set(query.getAll("with"))].filter((name) => name !== run) };
  return kind === "runs" ? { kind, run: "", others: [] } : VIDEO;
}

/** Return the video that an address describes. @param {string} search @returns {View} */
export function viewOf(search) {
  const part = readView(new URLSearchParams(search), "");
  const seeds = part.content === undefined ? {} : { motion: null };
  return { ...defaultParams(), ...seeds, ...part, model: part.model ?? sources.peek()[0]?.name ?? "" };
}

/** Set the state that an address describes: all of it, or only what a step changes. @param {string} search */
export function readQuery(search, isStep = false) {
  const query = new URLSearchParams(search);
  page.value = readPage(query);
  if (isStep && page.value.kind !== "video") return; // The video that was left stays as it is.
  const first = viewOf(search);
  const second = readView(query, "b.");
  const fps = Math.round(findSource(first.model)?.fps ?? 25);
  batch(() => {
    errors.value = {};
    view.a.value = first;
    view.b.value = Object.keys(second).length ? second : null;
    isFlipped.value = query.get("side") === "b";
    transport.speed.value = Math.min(Math.max(finite(query.get("speed"), 1), 1 / 16), 4);
    transport.fps.value = Math.min(Math.max(finite(query.get("fps"), fps), 1), 60);
    const text = query.get("timeline"), line = text ? parseTimeline(text) : null;
    restoreTimeline(line, window.history.state?.selected ?? null);
    if (text && !line) setError("project", "The timeline in the address is damaged: copy the link again.");
    if (isStep) return;
    transport.isPlaying.value = query.get("play") !== "0";
    tab.value = query.get("tab") ?? "explore";
    jump(finite(query.get("t"), 0));
  });
}
