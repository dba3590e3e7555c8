// The snapshots of runs over time as a film: those of compared runs at the same clips.

import { snapshotUrl } from "../core/runs.js";
import { formatCount } from "../core/run_text.js";
import { html, useEffect, useSignal } from "../core/ui.js";
import { IconButton } from "../widgets/button.js";

/** @typedef {import("../core/runs.js").Run} Run */

const FRAME_MS = 400;

/** Return the latest snapshot of a run up to some clips, if there is one. @param {Run} run @param {number} clips */
export const snapshotAt = (run, clips) => run.snapshots.findLast((one) => one <= clips);

/** @param {{ runs: Run[] }} props */
export function Film({ runs }) {
  const chosen = useSignal(/** @type {number | null} */ (null)); // clips; null follows the newest
  const isPlaying = useSignal(false);
  const moments = [...new Set(runs.flatMap((run) => run.snapshots))].sort((a, b) => a - b);
  const last = moments.length - 1;
  const found = chosen.value === null ? -1 : moments.findLastIndex((clips) => clips <= Number(chosen.value));
  const index = chosen.value === null ? last : Math.max(found, 0);
  const key = moments.join();
  useEffect(() => { // so that each picture is there when its turn comes
    const pictures = isPlaying.value ? runs.flatMap((run) => run.snapshots.map((clips) => {
      const picture = new Image();
      picture.src = snapshotUrl(run, clips);
      return picture;
    })) : [];
    return () => { pictures.length = 0; };
  }, [isPlaying.value, key]);
  useEffect(() => {
    if (!isPlaying.value) return undefined;
    const timer = setTimeout(() => {
      if (index >= last) isPlaying.value = false;
      else chosen.value = moments[index + 1];
    }, FRAME_MS);
    return () => clearTimeout(timer);
  }, [isPlaying.value, index, last]);
  function toggle() {
    if (!isPlaying.peek() && index >= last) chosen.value = moments[0];
    isPlaying.value = !isPlaying.peek();
  }
  if (!moments.length) return html`<p class="hint">No snapshot yet.</p>`;
  return html`
    <div id="film">
      <div class="film-pictures">${runs.map((run) => {
    const clips = snapshotAt(run, moments[index]);
    return html`<figure key=${run.name}>${clips === undefined ? html`<span class="no-picture">None yet</span>` : html`
        <a href=${snapshotUrl(run, clips, "mp4")} target="_blank" title="Play this snapshot">
          <img src=${snapshotUrl(run, clips)} alt=${`${run.name}: columns share content, rows share motion`} /></a>`}
        <figcaption>${runs.length > 1 && html`<span>${run.name}</span> `}<span class="clips">${
  clips === undefined ? "" : `${formatCount(clips)} clips`}</span></figcaption></figure>`;
  })}</div>
      <div class="row">
        <${IconButton} id="film-play" icon=${isPlaying.value ? "pause" : "play"} label=${isPlaying.value ? "Pause" : "Play"}
          kind="primary" onClick=${toggle} isDisabled=${last < 1} />
        <input id="film-time" type="range" min="0" max=${last} step="1" value=${index} aria-label="Snapshot" disabled=${last < 1}
          aria-valuetext=${`${formatCount(moments[index])} clips`} onInput=${(/** @type {any} */ event) => {
    isPlaying.value = false;
    const at = Number(event.target.value);
    chosen.value = at === last ? null : moments[at];
  }} />
        <span class="hint">${index + 1} of ${last + 1}</span>
      </div>
    </div>`;
}
