// The timeline below the transport: keyframes with thumbnails, and a track for each of their keys.

import { displayedTime } from "../core/clock.js";
import {
  addKeyframe, deselect, duplicateSelected, moveSelected, removeSelected, select, selectNext,
} from "../core/keyframes.js";
import { jump } from "../core/playback.js";
import { keyframeUrl } from "../core/protocol.js";
import { addShortcut } from "../core/shortcuts.js";
import { html, signal, useEffect, useLayoutEffect, useRef, useSignal } from "../core/ui.js";
import { source, view } from "../core/state.js";
import { TRACKS, selected, timeline } from "../core/timeline.js";
import { motionTime, valuesAt } from "../core/tracks.js";
import { IconButton } from "../widgets/button.js";
import { ErrorText } from "../widgets/field.js";
import { clamp } from "../widgets/slider.js";

const MAX_ZOOM = 32;
const THUMBNAIL_SIZE = 64, THUMBNAIL_MS = 400; // pixels; rest of a keyframe until its thumbnail follows
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 10800]; // seconds between marks
const MARKS = 6; // about as many in view
const zoom = signal(1);
const showsTracks = signal(!matchMedia("(max-width: 54rem)").matches);

/** @param {number} factor */
const zoomBy = (factor) => { zoom.value = clamp(zoom.value * factor, 1, MAX_ZOOM); };

addShortcut("k", "k", "Add a keyframe at the playhead, or start a timeline", () => { if (source.peek()?.num_layers) addKeyframe(); });
addShortcut("d", "d", "Duplicate the selected keyframe", duplicateSelected);
addShortcut("Delete", "Del", "Delete the selected keyframe", removeSelected);
addShortcut("Backspace", "", "", removeSelected);
addShortcut("[", "[ ]", "Select the previous or next keyframe", () => selectNext(-1));
addShortcut("]", "", "", () => selectNext(1));
addShortcut("Escape", "Esc", "Select no keyframe", deselect);
addShortcut("+", "+ −", "Zoom the timeline", () => zoomBy(2));
addShortcut("-", "", "", () => zoomBy(1 / 2));

/** Position on the timeline as CSS. @param {number} time */
const left = (time) => ({ left: `${100 * time / (timeline.value?.seconds ?? 1)}%` });

/** Call a function with times while a pointer moves over the timeline. @param {PointerEvent} event
 * @param {(time: number) => void} onMove */
function drag(event, onMove) {
  const body = /** @type {Element} */ (event.currentTarget).closest(".timeline-body");
  const move = (/** @type {PointerEvent} */ { clientX }) => {
    const box = body?.getBoundingClientRect(), line = timeline.peek();
    if (box && line) onMove(clamp((clientX - box.left) / box.width, 0, 1) * line.seconds);
  };
  const end = () => {
    removeEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) removeEventListener(name, end);
  };
  addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, end);
}

/** @param {PointerEvent} event */
function scrub(event) {
  const box = /** @type {Element} */ (event.currentTarget).getBoundingClientRect();
  deselect();
  jump((event.clientX - box.left) / box.width * (timeline.peek()?.seconds ?? 0));
  drag(event, jump);
}

/** Move, or delete, by the keys of a keyframe that has the focus. @param {KeyboardEvent} event @param {number} time
 * @param {string | null} key */
function press(event, time, key) {
  const frames = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!frames || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  event.stopPropagation(); // no jump
  const line = timeline.peek();
  if (selected.peek()?.time !== time || selected.peek()?.key !== key) select(time, key);
  if (line) moveSelected(time + frames * (event.shiftKey ? 10 : 1) / line.fps);
}

/** @param {{ time: number, track: string | null, label: string, children?: any }} props */
function Mark({ time, track, label, children }) {
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const isSelected = selected.value?.time === time && (selected.value.key ?? null) === track;
  // The focus follows a keyframe that moves past another one.
  useLayoutEffect(() => {
    if (isSelected && document.activeElement?.matches(".mark")) button.current?.focus({ preventScroll: true });
  }, [isSelected, time]);
  return html`
    <button ref=${button} type="button" class=${`mark ${track ? "diamond" : "keyframe"}`} style=${left(time)} aria-pressed=${isSelected}
      aria-label=${`${label} at ${time.toFixed(2)} s`} title=${label} data-time=${time}
      onPointerDown=${(/** @type {PointerEvent} */ event) => { if (!event.button) { select(time, track); drag(event, moveSelected); } }}
      onClick=${(/** @type {MouseEvent} */ event) => { if (!event.detail) select(time, track); }}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => press(event, time, track)}>${children}</button>`;
}

/** @param {{ time: number }} props */
function Thumbnail({ time }) {
  const line = timeline.value, url = useSignal("");
  const { speed: _, ...params } = line ? valuesAt(line, time) : { speed: 1 };
  const wanted = line ? keyframeUrl({ ...view.a.value, ...params }, source.value?.version ?? "",
    { time: motionTime(line, time), size: THUMBNAIL_SIZE, frames: 1 }) : "";
  useEffect(() => {
    const timer = setTimeout(() => { url.value = wanted; }, url.peek() ? THUMBNAIL_MS : 0);
    return () => clearTimeout(timer);
  }, [wanted]);
  return html`${url.value && html`<img src=${url.value} alt="" draggable=${false} />`}`;
}

function Ruler() {
  const seconds = timeline.value?.seconds ?? 1, wanted = seconds / zoom.value / MARKS;
  const step = STEPS.find((one) => one >= wanted) ?? STEPS[STEPS.length - 1];
  const times = Array.from({ length: Math.min(Math.ceil(seconds / step), 1000) }, (_, i) => Number((i * step).toFixed(3)));
  return html`<div class="ruler" onPointerDown=${scrub}>
    ${times.map((time) => html`<span key=${time} style=${left(time)}>${time}</span>`)}</div>`;
}

const Playhead = () => html`<div class="playhead" style=${left(Math.min(displayedTime.value, timeline.value?.seconds ?? 0))} />`;

function Lanes() {
  const keyframes = timeline.value?.keyframes ?? [];
  const tracks = TRACKS.filter(([key]) => showsTracks.value && keyframes.some((one) => key in one));
  return html`
    <div class="timeline-scroll">
      <div class="timeline-body" style=${{ width: `${100 * zoom.value}%` }}
        onWheel=${(/** @type {WheelEvent} */ event) => { if (event.ctrlKey) { event.preventDefault(); zoomBy(event.deltaY < 0 ? 1.25 : 0.8); } }}>
        <${Ruler} />
        <div class="lane keyframe-lane">${keyframes.map((one, i) => html`
          <${Mark} key=${i} time=${one.time} track=${null} label=${`Keyframe ${i + 1}`}><${Thumbnail} time=${one.time} /><//>`)}</div>
        ${tracks.map(([key, name]) => html`
          <div class="lane" key=${key}><span class="lane-name">${name}</span>
            ${keyframes.filter((one) => key in one).map((one, i) => html`
              <${Mark} key=${i} time=${one.time} track=${key} label=${`${name} ${JSON.stringify(one[key]).replace(/["{}]/g, "")}`} />`)}</div>`)}
        <${Playhead} />
      </div>
    </div>`;
}

const Body = () => html`
  <section id="keyframes" aria-label="Keyframes">
    <div class="timeline-bar">
      <button id="add-keyframe" type="button" onClick=${addKeyframe}>Add keyframe</button>
      <${IconButton} id="duplicate-keyframe" icon="copy" label="Duplicate keyframe" isDisabled=${!selected.value} onClick=${duplicateSelected} />
      <${IconButton} id="delete-keyframe" icon="trash" label="Delete keyframe" isDisabled=${!selected.value} onClick=${removeSelected} />
      <span class="space"></span>
      <button id="show-tracks" type="button" class="toggle" aria-pressed=${showsTracks.value}
        onClick=${() => { showsTracks.value = !showsTracks.value; }}>Tracks</button>
      <${IconButton} id="zoom-out" icon="minus" label="Zoom out" onClick=${() => zoomBy(1 / 2)} isDisabled=${zoom.value === 1} />
      <${IconButton} id="zoom-in" icon="plus" label="Zoom in" onClick=${() => zoomBy(2)} isDisabled=${zoom.value === MAX_ZOOM} />
    </div>
    <${Lanes} /><${ErrorText} of="timeline" />
  </section>`;

/** @type {import("./index.js").Part} */
export const timelineView = { place: "below", isShown: () => timeline.value !== null, Body };
