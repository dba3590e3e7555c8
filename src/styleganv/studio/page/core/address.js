// The address is the state: reload, bookmark and share restore it; back is undo and forward is redo.
//
// The first change of a gesture adds an entry to the history; further ones replace it until the control rests. So back
// leads to the state before the gesture. The time that plays is kept up to date without entries. A timeline is in the
// address as JSON in base64url; which keyframe is selected is not.

import { clock } from "./clock.js";
import { formatDirections, formatGrid, formatTimeline, parseDirections, parseGrid, parseTimeline } from "./notation.js";
import { restoreTimeline } from "./keyframes.js";
import { jump } from "./playback.js";
import { selected, timeline } from "./timeline.js";
import { batch, effect, signal } from "./ui.js";
import { defaultParams, errors, findSource, isFlipped, page, setError, sources, tab, transport, VIDEO, view } from "./state.js";

/** @typedef {import("./state.js").View} View */

const REST_MS = 700; // without a change, after which the next one is a new gesture
const WRITE_MS = 350; // between writes: browsers allow few per second
const TIME_MS = 2000;

const STEP_MS = 1000; // after which a step back or forward is given up

export const history = { canUndo: signal(false), canRedo: signal(false) };
/** The entry that is shown, and the last one that redo leads to. */
let [depth, lastDepth] = [0, 0];
/** Steps that the browser has not taken yet. */
const steps = { sum: 0, number: 0, askedAt: 0 };

export const undo = () => step(-1);
export const redo = () => step(1);

/** @param {number} offset */
function step(offset) {
  if (offset < 0 ? !history.canUndo.peek() : !history.canRedo.peek()) return;
  Object.assign(steps, { sum: steps.sum + offset, number: steps.number + 1, askedAt: performance.now() });
  showSteps();
  window.history.go(offset);
}

function showSteps() {
  history.canUndo.value = depth + steps.sum > 0;
  history.canRedo.value = depth + steps.sum < lastDepth;
}

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

/** Follow the state, and read it again on back and forward. Time, pauses and tabs are no steps. */
export function followAddress() {
  depth = Number(window.history.state?.depth ?? 0);
  // A page that is opened anew, not reloaded, has nothing to redo.
  lastDepth = window.history.state ? Math.max(depth, Number(sessionStorage.getItem("history-depth") ?? 0)) : 0;
  let [changedAt, writtenAt, timer] = [-Infinity, 0, 0];
  let lastVideo = "";
  /** By depth: an entry is written a moment later, perhaps after a step back from it. @type {Map<number, string>} */
  const queries = new Map();

  const entry = () => ({ depth, selected: selected.peek() });

  function write() {
    clearTimeout(timer);
    timer = 0;
    writtenAt = performance.now();
    if (steps.number && writtenAt - steps.askedAt < STEP_MS) return; // A write cancels steps; the last one writes.
    steps.sum = steps.number = 0;
    const query = toQuery();
    // A needless write could cancel a step by the browser's own buttons.
    const isNew = query !== location.search || JSON.stringify(window.history.state) !== JSON.stringify(entry());
    if (isNew) window.history.replaceState(entry(), "", query);
    showSteps();
    sessionStorage.setItem("history-depth", String(lastDepth));
  }

  effect(() => {
    const query = toQuery(0); // reads all signals of the state
    const video = timeline.value ? JSON.stringify([view.a.value.model, timeline.value]) : query.replace(/&(tab|play)=[^&]*/g, "");
    const [isStep, now] = [lastVideo && video !== lastVideo, performance.now()];
    lastVideo = video;
    if (isStep && now - changedAt > REST_MS) {
      depth += 1;
      lastDepth = depth;
      steps.number = 0;
      window.history.pushState(entry(), "", query);
      write();
    } else timer ||= setTimeout(write, Math.max(0, WRITE_MS - (now - writtenAt)));
    queries.set(depth, query);
    if (isStep) changedAt = now;
  });
  addEventListener("popstate", (event) => {
    const before = depth;
    depth = Number(event.state?.depth ?? 0);
    if (steps.number) Object.assign(steps, { sum: steps.sum - (depth - before), number: steps.number - 1 });
    changedAt = performance.now(); // reading is no step
    readQuery(queries.get(depth) ?? location.search, true);
    changedAt = -Infinity;
    write();
  });
  setInterval(() => { if (document.visibilityState === "visible" && !timer) write(); }, TIME_MS);
  write();
}
