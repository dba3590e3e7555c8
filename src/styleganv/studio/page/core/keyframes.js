// Controls and keyframes: controls show the selected keyframe, or else what plays, and their changes go into the selected
// keyframe, or else into the last one that has played, which they select.

import { clock, displayedTime } from "./clock.js";
import { jump } from "./playback.js";
import { batch, effect, untracked } from "./ui.js";
import { setError, transport, view } from "./state.js";
import {
  durationProblem, freeTime, fullKeyframe, keyframeAt, keyframeBefore, moveKeyframe, newTimeline, removeKeyframe, selected,
  snap, stateValues, timeline,
} from "./timeline.js";
import { valuesAt } from "./tracks.js";

/** @typedef {import("./timeline.js").Timeline} Timeline */

/** What the controls showed when they agreed with the timeline. @type {Record<string, any>} */
let agreed = {};

/** What the controls show. @returns {Record<string, any>} */
const shown = () => ({ ...view.a.value, speed: transport.speed.value });

/** Show what a timeline has at a time. @param {Timeline} line @param {number} time */
function show(line, time) {
  const { speed, ...params } = valuesAt(line, time);
  const values = { ...view.a.peek(), ...params };
  agreed = { ...values, speed };
  batch(() => {
    if (JSON.stringify(values) !== JSON.stringify(view.a.peek())) view.a.value = values;
    transport.speed.value = speed;
  });
}

/** Take the timeline of an address, after its parameters. @param {Timeline | null} line
 * @param {import("./timeline.js").Selection | null} selection */
export function restoreTimeline(line, selection) {
  batch(() => {
    agreed = { ...view.a.peek(), speed: transport.speed.peek() };
    timeline.value = line;
    selected.value = line && selection;
  });
}

/** Edit another timeline, or none. @param {Timeline | null} line */
export function openTimeline(line) {
  batch(() => {
    setError("timeline", "");
    selected.value = null;
    timeline.value = line;
    if (line) { show(line, 0); jump(0); }
  });
}

/** End the timeline: the present state plays on. */
export function closeTimeline() {
  const line = timeline.peek();
  if (!line) return;
  batch(() => { timeline.value = null; selected.value = null; setError("timeline", ""); });
  jump(line.start + displayedTime.peek());
}

/** Start a timeline from the present state. @param {Partial<Timeline>} settings */
export function startTimeline(settings = {}) {
  openTimeline(newTimeline(Number(clock.time.toFixed(2)), settings));
  selected.value = { time: 0, key: null };
}

/** Select a keyframe, or its value of a key, and show it. @param {number} time @param {string | null} key */
export function select(time, key = null) {
  const line = timeline.peek();
  if (!line) return;
  batch(() => {
    selected.value = { time, key };
    transport.isPlaying.value = false;
    show(line, time);
    jump(time);
  });
}

export const deselect = () => { selected.value = null; };

/** Select the previous or next keyframe. @param {1 | -1} offset */
export function selectNext(offset) {
  const line = timeline.peek(), now = selected.peek()?.time ?? displayedTime.peek();
  const times = line?.keyframes.map((one) => one.time) ?? [];
  const time = offset > 0 ? times.find((one) => one > now + 1e-6) : times.findLast((one) => one < now - 1e-6);
  if (time !== undefined) select(time);
}

/** Add a keyframe at the playhead, or start a timeline. */
export function addKeyframe() {
  const line = timeline.peek();
  if (!line) return startTimeline();
  const time = snap(line, displayedTime.peek());
  timeline.value = stateValues(line, time, fullKeyframe(valuesAt(line, time), time, line.keyframes));
  select(time);
}

/** Move the selected keyframe to a time. @param {number} to */
export function moveSelected(to) {
  const line = timeline.peek(), from = selected.peek(), time = line && snap(line, to);
  if (!line || !from || time === null) return;
  const moved = moveKeyframe(line, from.time, time, from.key);
  if (moved === line) return;
  timeline.value = moved;
  select(time, from.key);
}

export function removeSelected() {
  const line = timeline.peek(), one = selected.peek();
  if (!line || !one) return;
  const left = removeKeyframe(line, one.time, one.key);
  if (!left) return closeTimeline();
  batch(() => { timeline.value = left; selected.value = null; });
}

/** Copy the selected keyframe to the playhead, or else to the next free frame. */
export function duplicateSelected() {
  const line = timeline.peek(), from = selected.peek(), one = line && from && keyframeAt(line, from.time);
  if (!line || !one) return;
  const playhead = snap(line, displayedTime.peek()), time = freeTime(line, keyframeAt(line, playhead) ? one.time : playhead);
  if (time === null) return;
  const { time: _, ...values } = one;
  timeline.value = stateValues(line, time, values);
  select(time);
}

/** Change duration, frame rate or loop; an impossible duration is refused at its control. The end of a loop is its start,
 * so a keyframe there moves before it. @param {Partial<Timeline>} values */
export function changeTimeline(values) {
  const line = timeline.peek();
  if (!line) return;
  let next = { ...line, ...values };
  const last = line.keyframes[line.keyframes.length - 1].time;
  if (values.loop && last >= line.seconds) next = moveKeyframe(next, last, freeTime(next, last) ?? last, null);
  const problem = durationProblem(next);
  setError("seconds", problem);
  if (!problem) timeline.value = next;
}

export function followKeyframes() {
  effect(() => { clock.period = timeline.value?.loop ? timeline.value.seconds : Infinity; });
  effect(() => { // While paused, a selection ends where the playhead leaves it.
    const time = displayedTime.value, one = selected.peek(), fps = timeline.peek()?.fps ?? 1;
    if (!transport.isPlaying.value && one && Math.abs(time - one.time) > 0.5 / fps) selected.value = null;
  });
  effect(() => { // Controls follow what plays, unless a keyframe is selected.
    const line = timeline.value, time = displayedTime.value;
    if (line && !selected.value) untracked(() => show(line, time));
  });
  effect(() => { // Changes of controls go into a keyframe.
    const now = shown(), before = agreed;
    untracked(() => {
      const line = timeline.peek();
      agreed = now;
      if (!line) return;
      if (now.model !== before.model) { selected.value = null; show(line, displayedTime.peek()); return; }
      const keys = Object.keys(now).filter((key) => JSON.stringify(now[key]) !== JSON.stringify(before[key]));
      if (!keys.length) return;
      const time = selected.peek()?.time ?? keyframeBefore(line, displayedTime.peek()).time;
      const values = Object.fromEntries(keys.map((key) => [key, key === "mix" ? now[key] ?? "" : now[key]]));
      batch(() => {
        timeline.value = stateValues(line, time, values);
        selected.value ??= { time, key: null };
      });
    });
  });
}
