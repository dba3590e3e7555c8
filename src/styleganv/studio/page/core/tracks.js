// What a timeline shows at a time, for controls and thumbnails. The server computes the same for frames; between
// keyframes, blends of more than two of them may differ slightly.

import { formatTerms, parseTerms, round } from "./notation.js";
import { defaultParams } from "./state.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */
/** @typedef {[number, number][]} Points times and values */

/** Return the slope at the middle of three points: 0 at extremes, so that nothing overshoots. @param {Points} points */
function slope([[t0, v0], [t1, v1], [t2, v2]]) {
  const [h0, h1] = [t1 - t0, t2 - t1], [before, after] = [(v1 - v0) / h0, (v2 - v1) / h1];
  if (before * after <= 0) return 0;
  return 3 * (h0 + h1) / ((2 * h1 + h0) / before + (h1 + 2 * h0) / after);
}

/** Return the value of a monotone cubic track at a time; with a period, the last point leads back to the first.
 * @param {Points} points @param {number} time @param {number} period */
export function interpolate(points, time, period = Infinity) {
  let all = points;
  if (period < Infinity && points.length > 1) {
    const shifted = (/** @type {number} */ offset) => points.map(([t, v]) => /** @type {[number, number]} */ ([t + offset, v]));
    all = [...shifted(-period), ...points, ...shifted(period)];
  }
  const next = all.findIndex(([t]) => t > time);
  if (next <= 0) return all[next < 0 ? all.length - 1 : 0][1];
  const [[t0, v0], [t1, v1]] = [all[next - 1], all[next]];
  const at = (/** @type {number} */ k) => (k > 0 && k < all.length - 1 ? slope(all.slice(k - 1, k + 2)) : 0);
  const h = t1 - t0, s = (time - t0) / h;
  return v0 + s * s * (3 - 2 * s) * (v1 - v0) + h * s * (1 - s) * ((1 - s) * at(next - 1) - s * at(next));
}

/** Return named values at a time, each along a track of its own. @param {[number, Record<string, number>][]} points
 * @param {number} time @param {number} period */
function blend(points, time, period) {
  const names = [...new Set(points.flatMap(([, values]) => Object.keys(values)))];
  const entries = names.map((name) =>
    /** @type {const} */ ([name, round(interpolate(points.map(([t, values]) => [t, values[name] ?? 0]), time, period), 3)]));
  return Object.fromEntries(entries.filter(([, value]) => value));
}

/** @param {string} text @param {boolean} isNormalized */
function weights(text, isNormalized) {
  const sums = /** @type {Record<string, number>} */ ({});
  for (const { term, weight } of parseTerms(text) ?? []) sums[term] = (sums[term] ?? 0) + weight;
  const norm = isNormalized ? Math.hypot(...Object.values(sums)) || 1 : 1;
  return Object.fromEntries(Object.entries(sums).map(([term, weight]) => [term, weight / norm]));
}

/** Return the parameters and the speed at a time. @param {Timeline} line @param {number} time */
export function valuesAt({ keyframes, loop, seconds }, time) {
  const period = loop ? seconds : Infinity;
  const stated = (/** @type {keyof import("./timeline.js").Keyframe} */ key) =>
    keyframes.filter((one) => key in one).map((one) => /** @type {[number, any]} */ ([one.time, one[key]]));
  /** The value in force. @param {[number, any][]} points */
  const switched = (points) => (points.findLast(([t]) => t <= time + 1e-6) ?? points.at(loop ? -1 : 0))?.[1] ?? null;
  const number = (/** @type {"psi" | "speed"} */ key) => {
    const points = stated(key);
    return points.length ? round(interpolate(points, time, period), 3) : 1;
  };
  const terms = (/** @type {"content" | "motion"} */ key) => {
    const points = stated(key), isMotion = key === "motion";
    if (new Set(points.map(([, text]) => text)).size < 2) return points[0]?.[1] ?? null;
    const blended = blend(points.map(([t, text]) => [t, weights(text, isMotion)]), time, period);
    const list = Object.entries(blended).map(([term, weight]) => ({ term, weight }));
    return list.length === 1 && isMotion ? list[0].term : formatTerms(list);
  };
  return {
    ...defaultParams(), content: terms("content") || "0", motion: terms("motion"), psi: number("psi"), speed: number("speed"),
    directions: blend(stated("directions"), time, period), label: switched(stated("label")),
    mix: switched(stated("mix")) || null, grid: stated("grid")[0]?.[1] ?? null,
  };
}

/** Return the time of the motion at a time of the output, in seconds. @param {Timeline} line @param {number} time */
export function motionTime(line, time) {
  const numSteps = 32, points = line.keyframes.filter((one) => one.speed !== undefined)
    .map((one) => /** @type {[number, number]} */ ([one.time, one.speed ?? 1]));
  if (!points.length) return line.start + time;
  let sum = 0;
  for (let i = 0; i < numSteps; i += 1) {
    sum += interpolate(points, (i + 0.5) / numSteps * time, line.loop ? line.seconds : Infinity);
  }
  return line.start + sum * time / numSteps;
}
