// Searches of this studio: followed while the page is open.

import { request } from "./api.js";
import { jump } from "./playback.js";
import { fetchJobs } from "./protocol.js";
import { signal } from "./ui.js";
import { change, defaultParams, view } from "./state.js";

/** @typedef {import("./protocol.js").Job} Job */

const [RUNNING_MS, IDLE_MS] = [500, 3000]; // between updates
/** What to do with the results of this page's jobs, by number. @type {Map<number, (job: Job) => void>} */
const startedHere = new Map();
export const jobs = signal(/** @type {Job[]} */ ([]));

/** @param {Job} job */
export const jobTitle = ({ kind, name }) => (
  { text: `Text “${name}”`, clip: `Clip ${name}`, directions: `Directions ${name}`, export: `Video ${name}` }[kind]
);

/** Return whether the result of a job is a content. @param {Job} job */
export const hasResult = ({ kind }) => kind === "text" || kind === "clip";

/** @param {Job} job */
export function jobStatus(job) {
  if (job.state !== "running" && job.state !== "waiting") return { done: "Done", failed: job.error, canceled: "" }[job.state];
  if (job.state === "waiting") return "Waiting";
  const seconds = Math.ceil(job.remaining_seconds);
  const left = seconds ? `, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left` : "";
  return `${job.stage[0].toUpperCase()}${job.stage.slice(1)}${left}`;
}

/** Play the result of a job, which already contains the edits that led to it. @param {Job} job */
export function showResult(job) {
  change({ ...defaultParams(), content: `result-${job.number}`, motion: null });
  if (job.kind === "clip") jump(0);
}

export async function updateJobs() {
  let list;
  try { list = await fetchJobs(); } catch { return; /* The stage reports a lost connection. */ }
  if (JSON.stringify(list) !== JSON.stringify(jobs.peek())) jobs.value = list;
  for (const job of list) {
    const show = startedHere.get(job.number);
    if (job.state === "running" || job.state === "waiting" || !show) continue;
    startedHere.delete(job.number);
    if (job.state === "done" && job.source === view.a.peek().model) show(job);
  }
}

/** Start a job by a request, and show its result once it is done. Return its number. @param {Promise<Response>} response
 * @param {(job: Job) => void} show @returns {Promise<number>} */
export async function startJob(response, show = (job) => { if (hasResult(job)) showResult(job); }) {
  const { number } = await (await response).json();
  startedHere.set(number, show);
  await updateJobs();
  return number;
}

/** @param {Job} job @param {"cancel" | "stop"} action */
export async function endJob(job, action) {
  // A job that has ended by itself needs no end.
  await request(`api/jobs/${job.number}/${action}`, { method: "POST", body: "" }).catch(() => null);
  await updateJobs();
}

export async function followJobs() {
  await updateJobs();
  setTimeout(followJobs, jobs.peek().some((job) => job.state === "running") ? RUNNING_MS : IDLE_MS);
}
