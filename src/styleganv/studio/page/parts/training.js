// The training of a run: its latest numbers every few seconds, its curves and its snapshots.

import { getJson } from "../core/api.js";
import { curvesUrl, snapshotUrl, trainingUrl } from "../core/protocol.js";
import { html, signal, useEffect } from "../core/ui.js";
import { source } from "../core/state.js";
import { Slider } from "../widgets/slider.js";

const UPDATE_MS = 3000;

/** @typedef {{ clips_seen: number, clips_per_second: number, augment_p?: number }} Log the latest record */
/** By the name of its run. */
const latest = signal({ name: "", numSnapshots: 0, log: /** @type {Log | null} */ (null) });
/** The snapshot to show; null follows the newest. */
const chosen = signal(/** @type {number | null} */ (null));

/** @param {string} name */
async function update(name) {
  try {
    const { num_snapshots, last } = await getJson(trainingUrl(name));
    if (source.peek()?.name === name) latest.value = { name, numSnapshots: num_snapshots, log: last };
  } catch { /* The stage reports a lost connection. */ }
}

/** @param {Log} log */
function describe({ clips_seen, clips_per_second, augment_p }) {
  const augment = augment_p === undefined ? "" : `, augment_p ${augment_p.toFixed(2)}`;
  return `${clips_seen.toLocaleString("en")} clips, ${clips_per_second.toFixed(1)} clips/s${augment}`;
}

function Body() {
  const name = source.value?.name ?? "";
  useEffect(() => {
    chosen.value = null;
    update(name);
    const timer = setInterval(() => update(name), UPDATE_MS);
    return () => clearInterval(timer);
  }, [name]);
  if (latest.value.name !== name) return html`<p class="hint">Loading…</p>`;
  const { numSnapshots, log } = latest.value;
  const index = Math.min(chosen.value ?? numSnapshots - 1, numSnapshots - 1);
  const curves = `${curvesUrl(name)}?${log?.clips_seen ?? 0}`; // changes with the log
  return html`
    <p id="training" role="status">${log ? describe(log) : "Training has just started."}</p>
    ${log && html`<a href=${curves} target="_blank" title="Open the curves"><img id="curves" src=${curves} alt="Training curves" /></a>`}
    ${numSnapshots > 1 && html`
      <${Slider} id="snapshot" label="Snapshot" value=${index + 1} min=${1} max=${numSnapshots} step=${1} reset=${numSnapshots}
        unit=${`of ${numSnapshots}`} onInput=${(/** @type {number} */ value) => { chosen.value = Math.round(value) - 1; }} />`}
    ${numSnapshots > 0 && html`<a href=${snapshotUrl(name, index)} target="_blank" title="Open the snapshot">
      <img id="snapshot-image" src=${snapshotUrl(name, index)} alt="Snapshot: columns share content, rows share motion" /></a>`}`;
}

/** @type {import("./index.js").Part} */
export const training = { place: "training", title: "Training", isShown: () => source.value?.kind === "run", Body };
