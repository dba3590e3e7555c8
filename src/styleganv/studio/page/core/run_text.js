// How runs are described in words.

import { pending } from "./runs.js";

/** @typedef {import("./runs.js").Run} Run */

/** @param {number} count */
export const formatCount = (count) => count.toLocaleString("en");

/** Return a duration in its largest units, e.g. "2 h 5 min". @param {number} seconds */
export function formatDuration(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** @param {number} value */
export function formatNumber(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e15) return formatCount(value);
  return size >= 1e6 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** Return the state of a run, or what it was asked to do. @param {Run} run */
export function stateText(run) {
  const action = pending.value[run.name]?.action;
  if (action) return action === "stop" ? "Stopping…" : "Resuming…";
  return run.state[0].toUpperCase() + run.state.slice(1);
}

/** Return how far a run is. @param {Run} run */
export function progressText(run) {
  const { clips, total_clips: total, fraction, seconds_left: left, state, scalars } = run;
  const parts = [total ? `${formatCount(clips)} of ${formatCount(total)} clips` : `${formatCount(clips)} clips`];
  if (fraction !== null && state !== "finished") parts.push(`${(100 * fraction).toFixed(fraction < 0.1 ? 1 : 0)} %`);
  if (left !== null) parts.push(`${formatDuration(left)} left`);
  else if (scalars.time) parts.push(`${formatDuration(Math.max(0, Date.now() / 1000 - scalars.time))} ago`);
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · ");
}
