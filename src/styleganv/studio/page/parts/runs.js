// The page of all runs: a card for each, sorted and filtered.

import { runsQuery } from "../core/address.js";
import { hasRuns, openRuns, playRun, runs, runsError, snapshotUrl, useRuns } from "../core/runs.js";
import { progressText, stateText } from "../core/run_text.js";
import { html, signal } from "../core/ui.js";
import { page } from "../core/state.js";
import { Select } from "../widgets/field.js";
import { Findings } from "./findings.js";
import { ControlHint, RunControl } from "./run_control.js";

/** @typedef {import("../core/runs.js").Run} Run */

const DISTANCE = "frechet_efficientnet";
const STATES = ["running", "crashed", "diverged", "interrupted", "finished", "unreadable"];
/** Numbers to sort by, smallest first. @type {Record<string, [string, (run: Run) => number]>} */
const ORDERS = {
  active: ["Last active", (run) => -(run.scalars.time ?? 0)],
  name: ["Name", () => 0],
  state: ["State", (run) => STATES.indexOf(run.state)],
  progress: ["Progress", (run) => -(run.fraction ?? 0)],
  left: ["Time left", (run) => run.seconds_left ?? Infinity],
  clips: ["Clips", (run) => -run.clips],
  distance: ["Distance", (run) => run.scalars[DISTANCE] ?? Infinity],
  findings: ["Findings", (run) => -run.findings.length],
};
const order = signal("active"), filter = signal("");

/** @param {Run[]} list @param {string} key @param {string} text */
export function arrange(list, key, text) {
  const words = text.toLowerCase().split(/\s+/);
  const found = list.filter(({ name }) => words.every((word) => name.toLowerCase().includes(word)));
  const byName = (/** @type {Run} */ a, /** @type {Run} */ b) => a.name.localeCompare(b.name, "en", { numeric: true });
  const value = ORDERS[key][1];
  // The difference of two infinite values is not a number.
  return found.sort((a, b) => (value(a) === value(b) ? 0 : value(a) - value(b)) || byName(a, b));
}

/** A link to another page of the studio, which opens without loading it anew.
 * @param {{ to: import("../core/state.js").PageState, children?: any, kind?: string }} props */
export const PageLink = ({ to, children, kind }) => html`
  <a href=${runsQuery(to)} class=${kind} onClick=${(/** @type {MouseEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    page.value = to;
  }}>${children}</a>`;

/** The state, progress and findings of a run. @param {{ run: Run }} props */
export const Status = ({ run }) => html`
  <p class="status" role="status"><span class=${`state ${run.state}`}>${stateText(run)}</span> ${progressText(run)}</p>
  ${run.fraction !== null && html`<progress max="1" value=${run.fraction} aria-label=${`Progress of ${run.name}`} />`}
  <${Findings} run=${run} />`;

/** @param {{ run: Run }} props */
function Card({ run }) {
  const last = run.snapshots.at(-1);
  const to = /** @type {import("../core/state.js").PageState} */ ({ kind: "run", run: run.name, others: [] });
  return html`
    <li class="card" data-run=${run.name}>
      <${PageLink} to=${to} kind="picture-link">
        ${last === undefined ? html`<span class="no-picture">No snapshot yet</span>`
    : html`<img src=${snapshotUrl(run, last)} alt=${`Latest snapshot of ${run.name}`} loading="lazy" />`}<//>
      <h2><${PageLink} to=${to}>${run.name}<//></h2>
      <${Status} run=${run} />
      <div class="row">
        <button type="button" data-action="explore" aria-label=${`Explore ${run.name}`}
          onClick=${() => playRun(run.name)}>Explore</button>
        <${RunControl} run=${run} />
      </div>
    </li>`;
}

function RunsPage() {
  useRuns();
  const all = runs.value, shown = arrange(all ?? [], order.value, filter.value);
  return html`
    <main id="runs" class="watch">
      <div class="row watch-bar">
        <h2>Runs</h2>
        <input id="run-filter" type="search" placeholder="Filter by name" aria-label="Filter by name" value=${filter.value}
          onInput=${(/** @type {any} */ event) => { filter.value = event.target.value; }} />
        <label class="inline" for="run-order">Sort by <${Select} id="run-order" value=${order.value}
          options=${Object.entries(ORDERS).map(([key, [text]]) => [key, text])}
          onChange=${(/** @type {string} */ key) => { order.value = key; }} /></label>
        ${all && html`<span class="hint" role="status">${shown.length === all.length ? `${all.length}` : `${shown.length} of ${all.length}`}
          ${all.length === 1 ? " run" : " runs"}</span>`}
      </div>
      <${ControlHint} runs=${all ?? []} />
      ${runsError.value && html`<p class="error" role="alert">${runsError.value}</p>`}
      ${!all && !runsError.value && html`<p class="hint">Loading…</p>`}
      ${all && !shown.length && html`<p class="hint">${all.length ? "No run has this name." : "No runs in this studio."}</p>`}
      <ul class="cards">${shown.map((run) => html`<${Card} key=${run.name} run=${run} />`)}</ul>
    </main>`;
}

/** @type {import("./index.js").Part} */
export const runsPage = { place: "page", isShown: () => page.value.kind === "runs", Body: RunsPage };

/** @type {import("./index.js").Part} */
export const runsButton = {
  place: "header",
  isShown: hasRuns,
  Body: () => html`<button id="show-runs" type="button" onClick=${openRuns}
    aria-current=${page.value.kind === "runs" ? "page" : undefined}>Runs</button>`,
};
