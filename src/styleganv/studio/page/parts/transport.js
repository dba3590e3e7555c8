// Below the stage: play and pause, the time, the speed, and smooth scaling.

import { displayedTime } from "../core/clock.js";
import { jump, timelineEnd, togglePlay } from "../core/playback.js";
import { addShortcut } from "../core/shortcuts.js";
import { html, useEffect, useRef } from "../core/ui.js";
import { isSmooth, setError, source, transport } from "../core/state.js";
import { IconButton } from "../widgets/button.js";
import { Choice, ErrorText, errorProps } from "../widgets/field.js";

const SPEEDS = [[1 / 16, "1⁄16×"], [1 / 4, "¼×"], [1, "1×"], [2, "2×"], [4, "4×"]];
const LONG_JUMP = 10; // times a short one

/** @param {number} seconds */
const jumpBy = (seconds) => (/** @type {KeyboardEvent} */ event) =>
  jump(displayedTime.peek() + seconds * (event.shiftKey ? LONG_JUMP : 1));

addShortcut(" ", "Space", "Play or pause", togglePlay);
addShortcut("ArrowLeft", "← →", "Jump 1 s back or forward (with Shift: 10 s)", jumpBy(-1));
addShortcut("ArrowRight", "", "", jumpBy(1));
addShortcut("0", "0", "Go to start", () => jump(0));

/** @param {any} event */
function readTime(event) {
  const time = event.target.value === "" ? NaN : Number(event.target.value);
  if (Number.isFinite(time) && time >= 0) jump(time);
  else setError("time", "Enter a time in seconds, 0 or later.");
}

function Time() {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const text = displayedTime.value.toFixed(2);
  // What is typed stays until it is entered.
  useEffect(() => { if (input.current && document.activeElement !== input.current) input.current.value = text; }, [text]);
  return html`
    <label class="time"><span>Time</span>
      <input id="time" aria-label="Time in seconds" ref=${input} type="number" min="0" step="any" defaultValue=${text} ...${errorProps("time")}
        onChange=${readTime} /><span>s</span></label>`;
}

export const Transport = () => html`
  <section id="transport" aria-label="Playback">
    <${IconButton} id="play" kind="primary" icon=${transport.isPlaying.value ? "pause" : "play"}
      label=${transport.isPlaying.value ? "Pause" : "Play"} onClick=${togglePlay} />
    <input id="timeline" type="range" min="0" max=${timelineEnd()} step="any" value=${displayedTime.value}
      aria-label="Timeline" onInput=${(/** @type {any} */ event) => jump(Number(event.target.value))} />
    <${Time} />
    <${Choice} id="speed-presets" label="Speed" options=${SPEEDS} value=${transport.speed.value}
      isDisabled=${!source.value?.supports_any_fps} onChange=${(/** @type {number} */ speed) => { transport.speed.value = speed; }} />
    <button id="smooth" type="button" class="toggle" aria-pressed=${isSmooth.value} title="Smooth scaling, or pixels"
      onClick=${() => { isSmooth.value = !isSmooth.value; }}>Smooth</button>
    <${ErrorText} of="time" /><${ErrorText} of="speed" />
  </section>`;
