// The training of a run: its latest numbers and its snapshots, every few seconds.

import { getJson } from "../core/api.js";
import { runUrl } from "../core/protocol.js";
import { html, signal, useEffect } from "../core/ui.js";
import { source } from "../core/state.js";
import { Slider } from "../widgets/slider.js";

const UPDATE_MS = 3000;

/** @typedef {{ name: string, snapshots: number[], scalars: Record<string, number> }} Run */
const run = signal(/** @type {Run | null} */ (null));
/** The snapshot to show; null follows the newest. */
const chosen = signal(/** @type {number | null} */ (null));

/** @param {string} name */
async function update(name) {
  try {
    const all = /** @type {Run[]} */ (await getJson("api/runs"));
    if (source.peek()?.name === name) run.value = all.find((one) => one.name === name) ?? null;
  } catch { /* The stage reports a lost connection. */ }
}

/** @param {Record<string, number>} scalars */
function describe({ clips_seen, clips_per_second, augment_p }) {
  const augment = augment_p === undefined ? "" : `, augment_p ${augment_p.toFixed(2)}`;
  return `${clips_seen.toLocaleString("en")} clips, ${(clips_per_second ?? 0).toFixed(1)} clips/s${augment}`;
}

function Body() {
  const name = source.value?.name ?? "";
  useEffect(() => {
    chosen.value = null;
    update(name);
    const timer = setInterval(() => update(name), UPDATE_MS);
    return () => clearInterval(timer);
  }, [name]);
  if (run.value?.name !== name) return html`<p class="hint">Loading…</p>`;
  const { snapshots, scalars } = run.value;
  const index = Math.min(chosen.value ?? snapshots.length - 1, snapshots.length - 1);
  const url = runUrl(name, `snapshots/${snapshots[index]}.png`);
  return html`
    <p id="training" role="status">${scalars.clips_seen ? describe(scalars) : "Training has just started."}</p>
    ${snapshots.length > 1 && html`
      <${Slider} id="snapshot" label="Snapshot" value=${index + 1} min=${1} max=${snapshots.length} step=${1}
        reset=${snapshots.length} unit=${`of ${snapshots.length}`}
        onInput=${(/** @type {number} */ value) => { chosen.value = Math.round(value) - 1; }} />`}
    ${snapshots.length > 0 && html`<a href=${url} target="_blank" title="Open the snapshot">
      <img id="snapshot-image" src=${url} alt="Snapshot: columns share content, rows share motion" /></a>`}`;
}

/** @type {import("./index.js").Part} */
export const training = { place: "training", title: "Training", isShown: () => source.value?.kind === "run", Body };
