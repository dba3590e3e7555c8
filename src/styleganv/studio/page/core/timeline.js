// The timeline under edit, as in a project file, and how its keyframes change. All functions return new timelines.
//
//     timeline.value                                  null without one: the stage then plays the parameters of state.js
//     timeline.value = moveKeyframe(timeline.peek(), 0, 1.2)
//
// Times are in seconds of the output, on its frames. Each keyframe has a time of its own.

import { computed, signal } from "./ui.js";
import { transport, view } from "./state.js";

/** @typedef {import("./state.js").Params} Params */
/** @typedef {Partial<Record<keyof Params, any>> & { time: number, speed?: number }} Keyframe what it does not state is left
 *   to the others; mix "" is none */
/** @typedef {{ seconds: number, fps: number, loop: boolean, start: number, keyframes: Keyframe[] }} Timeline */
/** @typedef {{ time: number, key: string | null }} Selection a keyframe, or what it states for one key */
/** @typedef {{ model: string, timeline?: Timeline } & Partial<Params>} Video what a stage plays */

/** The keys with tracks of their own. @type {[keyof Keyframe & string, string][]} */
export const TRACKS = [
  ["content", "Content"], ["motion", "Motion"], ["speed", "Speed"], ["psi", "Psi"], ["directions", "Directions"],
  ["label", "Class"], ["mix", "Mix"], ["grid", "Grid"],
];

export const timeline = signal(/** @type {Timeline | null} */ (null));
export const selected = signal(/** @type {Selection | null} */ (null));
/** Seconds of the video that pass per second: a timeline has the speed in its keyframes. */
export const rate = computed(() => (timeline.value ? 1 : transport.speed.value));

/** Return a view as a stage plays it: with the timeline, if there is one. @param {import("./state.js").View} one
 * @returns {Video} */
export const withTimeline = (one) => (timeline.value ? { model: one.model, timeline: timeline.value } : one);

/** Return the latest time that has a frame. @param {Video} video @param {import("./state.js").Source} source
 * @param {number} fps */
export const lastStart = ({ timeline: line }, source, fps) =>
  (line ? (line.loop ? Infinity : line.seconds) : (source.max_seconds ?? Infinity) - 0.5 / fps);

/** @param {Timeline} line */
export const lastFrame = ({ seconds, fps, loop }) => Math.max(0, Math.ceil(seconds * fps - 1e-6) - (loop ? 1 : 0));

/** Return the time of the nearest frame of the timeline. @param {Timeline} line @param {number} time */
export const snap = (line, time) =>
  Number((Math.min(Math.max(Math.round(time * line.fps), 0), lastFrame(line)) / line.fps).toFixed(6));

/** @param {Timeline} line @param {number} time */
export const keyframeAt = ({ keyframes }, time) => keyframes.find((one) => Math.abs(one.time - time) < 1e-6);

/** Return the last keyframe up to a time, or the first one. @param {Timeline} line @param {number} time */
export const keyframeBefore = ({ keyframes }, time) =>
  keyframes.findLast((one) => one.time <= time + 1e-6) ?? keyframes[0];

/** @param {Keyframe} keyframe */
const isEmpty = (keyframe) => Object.keys(keyframe).length === 1;

/** @param {Timeline} line @param {Keyframe[]} keyframes */
const withKeyframes = (line, keyframes) => (
  { ...line, keyframes: keyframes.filter((one) => !isEmpty(one)).sort((a, b) => a.time - b.time) }
);

/** State values at a time, in a new keyframe unless there is one; null ends a statement. A grid is that of all keyframes.
 * @param {Timeline} line @param {number} time @param {Partial<Keyframe>} values */
export function stateValues(line, time, values) {
  const { grid, ...others } = values;
  const at = keyframeAt(line, time)?.time ?? time;
  const stated = Object.entries({ ...keyframeAt(line, time), ...others, time: at }).filter(([, value]) => value !== null);
  let keyframes = [...line.keyframes.filter((one) => one.time !== at), /** @type {Keyframe} */ (Object.fromEntries(stated))];
  if ("grid" in values) {
    keyframes = keyframes.sort((a, b) => a.time - b.time).map(({ grid: _, ...one }, i) => (i || !grid ? one : { ...one, grid }));
  }
  return withKeyframes(line, keyframes);
}

/** Move a keyframe, or what it states for one key, to a time where there is place; elsewhere nothing changes.
 * @param {Timeline} line @param {number} from @param {number} to @param {string | null} key */
export function moveKeyframe(line, from, to, key) {
  const moved = keyframeAt(line, from), there = keyframeAt(line, to), time = snap(line, to);
  if (!moved || moved === there || (there && (key === null || key in there))) return line;
  const others = line.keyframes.filter((one) => one !== moved);
  if (key === null) return withKeyframes(line, [...others, { ...moved, time }]);
  const { [key]: value, ...rest } = /** @type {Record<string, any>} */ (moved);
  return stateValues(withKeyframes(line, [...others, /** @type {Keyframe} */ (rest)]), time, { [key]: value });
}

/** Remove a keyframe, or what it states for one key; null if none remains.
 * @param {Timeline} line @param {number} time @param {string | null} key */
export function removeKeyframe(line, time, key) {
  const removed = keyframeAt(line, time);
  const keyframes = line.keyframes.filter((one) => one !== removed);
  if (removed && key !== null) {
    const { [key]: _, ...rest } = /** @type {Record<string, any>} */ (removed);
    keyframes.push(/** @type {Keyframe} */ (rest));
  }
  const left = withKeyframes(line, keyframes);
  return left.keyframes.length ? left : null;
}

/** Return the next free frame from a time on, or the one before. @param {Timeline} line @param {number} time */
export function freeTime(line, time) {
  const first = Math.round(time * line.fps), last = lastFrame(line);
  const isFree = (/** @type {number} */ frame) => !keyframeAt(line, snap(line, frame / line.fps));
  for (let frame = first; frame <= last; frame += 1) if (isFree(frame)) return snap(line, frame / line.fps);
  for (let frame = first; frame >= 0; frame -= 1) if (isFree(frame)) return snap(line, frame / line.fps);
  return null;
}

/** Return the sentence that says why a duration is not possible, or "". @param {Timeline} line */
export function durationProblem({ keyframes, seconds, loop }) {
  const last = keyframes.at(-1)?.time ?? 0;
  if (!(seconds > 0 && seconds <= 86400)) return "Enter a duration of up to 86400 s.";
  if (loop ? last >= seconds : last > seconds) return `The last keyframe is at ${last} s: move it, or choose a longer duration.`;
  return "";
}

/** Return the keyframe that states a view, and of its defaults those that other keyframes change.
 * @param {Params & { speed: number }} values @param {number} time @param {Keyframe[]} others @returns {Keyframe} */
export function fullKeyframe({ content, motion, psi, speed, label, mix, directions, grid }, time, others = []) {
  /** @type {Keyframe} */
  const keyframe = { time, content, psi, speed };
  const isStated = (/** @type {keyof Keyframe} */ key) => others.some((one) => key in one);
  if (motion !== null) keyframe.motion = motion;
  if (label !== null) keyframe.label = label;
  if (mix !== null || isStated("mix")) keyframe.mix = mix ?? "";
  if (Object.keys(directions).length || isStated("directions")) keyframe.directions = directions;
  if (grid !== null && !isStated("grid")) keyframe.grid = grid;
  return keyframe;
}

/** Return a timeline with one keyframe: the present state. @param {number} start @param {Partial<Timeline>} settings */
export function newTimeline(start, settings) {
  const { model: _, ...params } = view.a.peek();
  const keyframes = [fullKeyframe({ ...params, speed: transport.speed.peek() }, 0)];
  return { seconds: 5, fps: transport.fps.peek(), loop: false, start, ...settings, keyframes };
}
