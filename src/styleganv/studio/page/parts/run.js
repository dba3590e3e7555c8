// The page of a run: how it is doing, its film, curves, numbers, settings and log, also next to those of other runs.

import { findRun, openRun, playRun, runs, runsError, useRuns } from "../core/runs.js";
import { html } from "../core/ui.js";
import { page } from "../core/state.js";
import { IconButton } from "../widgets/button.js";
import { Select } from "../widgets/field.js";
import { Curves, Swatch } from "./curves.js";
import { Film } from "./film.js";
import { ControlHint, RunControl } from "./run_control.js";
import { LogTail, Numbers, Settings } from "./run_details.js";
import { PageLink, Status } from "./runs.js";

/** @typedef {import("../core/runs.js").Run} Run */

const ALL = /** @type {import("../core/state.js").PageState} */ ({ kind: "runs", run: "", others: [] });

/** @param {string} name */
function removeRun(name) {
  const { run, others } = page.peek();
  openRun(run, others.filter((other) => other !== name));
}

/** @param {{ name: string, index: number, isOnly: boolean }} props */
function Head({ name, index, isOnly }) {
  const run = findRun(name);
  return html`
    <section class="run-head" data-run=${name}>
      <div class="row"><h2>${!isOnly && html`<${Swatch} index=${index} /> `}${name}</h2>
        ${index > 0 && html`<${IconButton} icon="close" label=${`Remove ${name}`} onClick=${() => removeRun(name)} />`}</div>
      ${!run && runs.value && html`<p class="error" role="alert">This run does not exist, or no longer.</p>`}
      ${run && html`<${Status} run=${run} />
        <div class="row">
          <button type="button" class="primary" data-action="explore" aria-label=${`Explore ${name}`}
            onClick=${() => playRun(name)}>Explore</button>
          <${RunControl} run=${run} />
        </div>`}
    </section>`;
}

/** @param {{ title: string, children?: any }} props */
const Section = ({ title, children }) => html`<section class="group"><h2>${title}</h2>${children}</section>`;

function RunPage() {
  const { run, others } = page.value;
  const names = [run, ...others];
  useRuns(names);
  const shown = names.flatMap((name) => findRun(name) ?? []);
  const free = (runs.value ?? []).filter(({ name }) => !names.includes(name));
  return html`
    <main id="run" class="watch">
      <nav class="row watch-bar" aria-label="Runs"><${PageLink} to=${ALL}>All runs<//>
        ${free.length > 0 && html`<${Select} id="compare-run" label="Compare with another run" value=""
          options=${[["", "Compare with…"], ...free.map(({ name }) => [name, name])]}
          onChange=${(/** @type {string} */ name) => { if (name) openRun(run, [...others, name]); }} />`}
      </nav>
      ${runsError.value && html`<p class="error" role="alert">${runsError.value}</p>`}
      <div class=${`run-top ${names.length > 1 ? "several" : ""}`}>
        <div class="run-heads">${names.map((name, index) => html`
          <${Head} key=${name} name=${name} index=${index} isOnly=${names.length === 1} />`)}
          <${ControlHint} runs=${shown} /></div>
        ${shown.length > 0 && html`<${Section} title="Snapshots"><${Film} key=${run} runs=${shown} /><//>`}
      </div>
      ${shown.length > 0 && html`
        <${Section} title="Curves"><${Curves} names=${shown.map(({ name }) => name)} /><//>
        <div class="run-texts">
          <${Section} title="Latest numbers"><${Numbers} runs=${shown} /><//>
          <${Section} title=${shown.length > 1 ? "Settings that differ" : "Settings"}><${Settings} runs=${shown} /><//>
        </div>
        ${shown.map((one) => html`
          <${Section} key=${one.name} title=${shown.length > 1 ? `Log of ${one.name}` : "Log"}><${LogTail} run=${one} /><//>`)}`}
    </main>`;
}

/** @type {import("./index.js").Part} */
export const runPage = { place: "page", isShown: () => page.value.kind === "run", Body: RunPage };
