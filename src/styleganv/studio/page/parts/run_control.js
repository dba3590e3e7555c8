// Stop and resume a run, after a confirmation. Without an access token of the studio, the buttons say why not.

import { control, findRun, pending } from "../core/runs.js";
import { html, signal } from "../core/ui.js";
import { ActionButton } from "../widgets/button.js";
import { Dialog } from "../widgets/dialog.js";

/** @typedef {import("../core/runs.js").Action} Action */

const NEEDS_TOKEN = "To stop and resume runs, start the studio with --token.";
const TITLES = { stop: "Stop training?", resume: "Resume training?" };
const TEXTS = {
  stop: "It saves a checkpoint first, and can be resumed.",
  resume: "It continues from its last checkpoint, also after the studio ends.",
};
const asked = signal(/** @type {{ name: string, action: Action } | null} */ (null));
const isOpen = { get value() { return asked.value !== null; }, set value(open) { if (!open) asked.value = null; } };

/** @param {{ run: import("../core/runs.js").Run }} props */
export function RunControl({ run }) {
  if (run.state === "finished" || run.state === "unreadable") return null;
  const action = run.state === "running" ? "stop" : "resume";
  const isPending = run.name in pending.value;
  return html`
    <button type="button" data-action=${action} disabled=${!run.can_control || isPending}
      title=${run.can_control ? "" : NEEDS_TOKEN}
      aria-label=${`${action === "stop" ? "Stop" : "Resume"} ${run.name}`}
      onClick=${() => { asked.value = { name: run.name, action }; }}>${action === "stop" ? "Stop" : "Resume"}</button>`;
}

/** Why runs cannot be controlled, once per page. @param {{ runs: import("../core/runs.js").Run[] }} props */
export const ControlHint = ({ runs }) =>
  (runs.some((run) => !run.can_control) ? html`<p id="control-hint" class="hint">${NEEDS_TOKEN}</p>` : null);

async function confirm() {
  const now = asked.peek();
  if (!now) return;
  await control(now.name, now.action);
  asked.value = null;
}

/** @type {import("./index.js").Part} */
export const confirmation = {
  place: "dialogs",
  Body: () => {
    const { name, action } = asked.value ?? { name: "", action: /** @type {Action} */ ("stop") };
    return html`
      <${Dialog} id="confirmation" title=${TITLES[action]} isOpen=${isOpen}>
        <p class="name">${name}</p><p>${TEXTS[action]}</p>
        ${!findRun(name) && html`<p class="error">This run no longer exists.</p>`}
        <div class="row">
          <${ActionButton} id="confirm" kind="primary" text=${action === "stop" ? "Stop" : "Resume"} busyText="Sending…"
            action=${confirm} />
          <button type="button" onClick=${() => { asked.value = null; }}>Cancel</button>
        </div>
      <//>`;
  },
};
