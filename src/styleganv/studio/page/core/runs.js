// Runs as the server watches them: their states, logs and snapshots, which grow; and how they are opened and controlled.
//
//     useRuns();  runs.value      a component that calls the first keeps the second up to date while it is shown

import { getJson, request } from "./api.js";
import { loadSources } from "./playback.js";
import { runUrl } from "./protocol.js";
import { batch, signal, useEffect } from "./ui.js";
import { findSource, openSource, page, source, sources, tab } from "./state.js";

/** @typedef {{ name: string, severity: "error" | "warning" | "note", text: string, help: string }} Finding */
/** @typedef {{ name: string, state: string, method: string | null, clips: number, total_clips: number | null,
 *   fraction: number | null, seconds_left: number | null, scalars: Record<string, number>, findings: Finding[],
 *   snapshots: number[], log_end: number, log_version: string, failure: string, can_control: boolean }} Run */
/** @typedef {Record<string, (number | null)[]>} Columns values by scalar, in the order of clips */
/** @typedef {"stop" | "resume"} Action */

const UPDATE_MS = 2000;
const PATIENCE_MS = 60_000; // until an action that shows no effect is no longer expected to
const MAX_POINTS = 4000; // of a log, after which the server is asked for its means again

/** Null until they are known. */
export const runs = signal(/** @type {Run[] | null} */ (null));
/** Why they are not up to date. */
export const runsError = signal("");
/** Actions that have been requested and show no effect yet, by run. */
export const pending = signal(/** @type {Record<string, { action: Action, until: number }>} */ ({}));
/** Logs by run, for the runs that `followLogs` names. */
export const logs = signal(/** @type {Record<string, Columns>} */ ({}));

/** What has been read of logs. @type {Map<string, { end: number, version: string }>} */
const positions = new Map();
let [numFollowers, timer, isUpdating] = [0, 0, false];
/** @type {string[]} */
let followed = [];

/** @param {string} name */
export const findRun = (name) => runs.value?.find((run) => run.name === name);
export const hasRuns = () => sources.value.some(({ kind }) => kind === "run");

export async function updateRuns() {
  if (isUpdating) return;
  isUpdating = true;
  try {
    const list = /** @type {Run[]} */ (await getJson("api/runs"));
    batch(() => {
      runsError.value = "";
      if (JSON.stringify(list) !== JSON.stringify(runs.peek())) runs.value = list;
      settle(list);
    });
    for (const name of followed) await updateLog(list.find((run) => run.name === name));
  } catch (error) {
    runsError.value = /** @type {Error} */ (error).message;
  }
  isUpdating = false;
}

/** Forget actions that have had their effect. @param {Run[]} list */
function settle(list) {
  const open = Object.entries(pending.peek()).filter(([name, { action, until }]) => {
    const run = list.find((one) => one.name === name);
    return run && (run.state === "running") === (action === "stop") && performance.now() < until && !run.failure;
  });
  if (open.length < Object.keys(pending.peek()).length) pending.value = Object.fromEntries(open);
}

/** Read what is new of a log. @param {Run | undefined} run */
async function updateLog(run) {
  if (!run) return;
  const before = positions.get(run.name) ?? { end: 0, version: "" };
  if (logs.peek()[run.name] && before.end === run.log_end && before.version === run.log_version) return;
  const known = logs.peek()[run.name]?.clips_seen?.length ?? 0;
  const after = known > MAX_POINTS ? 0 : before.end;
  const query = new URLSearchParams({ after: String(after), version: before.version });
  const { columns, is_new, end, version } = await getJson(runUrl(run.name, `log?${query}`));
  positions.set(run.name, { end, version });
  logs.value = { ...logs.peek(), [run.name]: is_new ? columns : append(logs.peek()[run.name] ?? {}, columns) };
}

/** @param {Columns} before @param {Columns} more @returns {Columns} */
export function append(before, more) {
  const [length, added] = [before.clips_seen?.length ?? 0, more.clips_seen?.length ?? 0];
  const missing = (/** @type {number} */ count) => Array(count).fill(null);
  const names = [...new Set([...Object.keys(before), ...Object.keys(more)])];
  return Object.fromEntries(names.map((name) =>
    [name, [...(before[name] ?? missing(length)), ...(more[name] ?? missing(added))]]));
}

/** Keep `runs` up to date while a component is shown, and `logs` of some of them. @param {string[]} names */
export function useRuns(names = []) {
  const key = names.join("\n");
  useEffect(() => {
    if (names.length) followed = names;
    numFollowers += 1;
    updateRuns();
    timer ||= setInterval(updateRuns, UPDATE_MS);
    return () => {
      numFollowers -= 1;
      if (names.length) followed = [];
      if (!numFollowers) { clearInterval(timer); timer = 0; }
    };
  }, [key]);
}

/** Play the video of a run; before its first save, show what the run reports. @param {string} name */
export async function playRun(name) {
  if (!findSource(name)) await loadSources().catch(() => {});
  batch(() => {
    openSource(name);
    tab.value = source.peek()?.ready === false ? "training" : "explore";
  });
}

/** @param {string} run @param {string[]} others */
export function openRun(run, others = []) { page.value = { kind: "run", run, others }; }

export function openRuns() { page.value = { kind: "runs", run: "", others: [] }; }

/** Stop or resume a run. Throws an Error with the reason if it cannot be. @param {string} name @param {Action} action */
export async function control(name, action) {
  await request(runUrl(name, action), { method: "POST", body: "" });
  pending.value = { ...pending.peek(), [name]: { action, until: performance.now() + PATIENCE_MS } };
  await updateRuns();
}

/** Return the address of the image or video of a snapshot. @param {Run} run @param {number} clips */
export const snapshotUrl = (run, clips, suffix = "png") =>
  `${runUrl(run.name, `snapshots/${clips}.${suffix}`)}?version=${run.log_version}`;
