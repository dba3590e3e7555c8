// The tab of a run that plays: how its training is doing, its latest snapshot, and the way to its page.

import { findRun, runs, snapshotUrl, useRuns } from "../core/runs.js";
import { html } from "../core/ui.js";
import { source } from "../core/state.js";
import { ControlHint, RunControl } from "./run_control.js";
import { PageLink, Status } from "./runs.js";

function Body() {
  useRuns();
  const name = source.value?.name ?? "", run = findRun(name), last = run?.snapshots.at(-1);
  if (!run) return html`<p class="hint">${runs.value ? "This run no longer exists." : "Loading…"}</p>`;
  return html`
    <div id="training"><${Status} run=${run} /></div>
    <div class="row"><${PageLink} to=${{ kind: "run", run: name, others: [] }}>Curves, snapshots and log<//>
      <${RunControl} run=${run} /></div>
    <${ControlHint} runs=${[run]} />
    ${last !== undefined && html`<a href=${snapshotUrl(run, last, "mp4")} target="_blank" title="Play the latest snapshot">
      <img id="snapshot-image" src=${snapshotUrl(run, last)}
        alt="Latest snapshot: columns share content, rows share motion" /></a>`}`;
}

/** @type {import("./index.js").Part} */
export const training = { place: "training", title: "Training", isShown: () => source.value?.kind === "run", Body };
