// Searches: text edits and projections of uploaded clips, with one card per job.

import { postJson, request } from "../core/api.js";
import { endJob, hasResult, jobStatus, jobTitle, jobs, showResult, startJob } from "../core/jobs.js";
import { clipJobUrl, textJob } from "../core/protocol.js";
import { html, signal } from "../core/ui.js";
import { activity, source, view } from "../core/state.js";
import { ActionButton } from "../widgets/button.js";
import { Dialog } from "../widgets/dialog.js";
import { Field, Select } from "../widgets/field.js";

/** @typedef {import("../core/jobs.js").Job} Job */

const MAX_UPLOAD_BYTES = 2 ** 28;
const STEPS = [[100, "100 (fast)"], [600, "600 (thorough)"]];
const numSteps = signal(100);
const text = signal("");
const clip = signal(/** @type {File | null} */ (null));
const start = signal("0"), seconds = signal("2");
/** The job whose result is compared with the original, or null. */
const compared = signal(/** @type {Job | null} */ (null));
const isComparing = { get value() { return compared.value !== null; }, set value(isOpen) { if (!isOpen) compared.value = null; } };

/** Run a request of which the stage says that it is under way. @param {string} what @param {() => Promise<Response>} send */
async function startSearch(what, send) {
  activity.value = what;
  try { await startJob(send()); } finally { activity.value = ""; }
}

const editByText = () => startSearch("Starting a text edit…", async () => {
  const { path, body } = textJob(view.a.peek(), text.peek(), numSteps.peek());
  return postJson(path, body);
});

async function projectClip() {
  const file = clip.peek();
  if (!file) throw new Error("No video file selected: choose one.");
  if (file.size > MAX_UPLOAD_BYTES) {
    throw new Error(`A video must be at most ${MAX_UPLOAD_BYTES / 2 ** 20} MiB, got ${file.name}: shorten it.`);
  }
  const query = { name: file.name, start: start.peek(), seconds: seconds.peek(), num_steps: String(numSteps.peek()) };
  const url = clipJobUrl(view.a.peek().model, query);
  await startSearch(`Uploading ${file.name}…`, () => request(url, { method: "POST", body: file }));
}

/** @param {{ job: Job }} props */
function Card({ job }) {
  const [isRunning, isDone] = [job.state === "running", job.state === "done"];
  const url = `api/jobs/${job.number}`;
  return html`
    <li class="job" id=${`job-${job.number}`}>
      <p class="job-name">${jobTitle(job)}</p>
      ${isRunning && html`<progress max="1" value=${job.fraction} aria-label=${`Progress of ${jobTitle(job)}`} />`}
      <p class=${job.state === "failed" ? "job-status error" : "job-status hint"}>${jobStatus(job)}</p>
      <div class="row">
        ${(isRunning || job.state === "waiting") && html`<button type="button" data-action="cancel" onClick=${() => endJob(job, "cancel")}>Cancel</button>`}
        ${job.can_stop && html`<button type="button" data-action="stop" onClick=${() => endJob(job, "stop")}>Stop and keep</button>`}
        ${isDone && html`
          <button type="button" data-action="show" onClick=${() => showResult(job)}>Show</button>
          <button type="button" data-action="compare" onClick=${() => { compared.value = job; }}>Compare</button>
          <a data-action="download" href=${`${url}/latents.safetensors`} download=${`result-${job.number}.safetensors`}>Download latents</a>`}
      </div>
    </li>`;
}

const Steps = () => html`
  <${Field} id="num-steps" label="Steps">
    <${Select} id="num-steps" options=${STEPS} value=${numSteps.value}
      onChange=${(/** @type {string} */ steps) => { numSteps.value = Number(steps); }} /><//>`;

const TextSearch = () => html`
  <${Field} id="text" label="Text">
    <input id="text" type="text" maxlength="200" placeholder="a green face" value=${text.value}
      onInput=${(/** @type {any} */ event) => { text.value = event.target.value; }}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Enter") document.getElementById("edit-by-text")?.click(); }} /><//>
  <${ActionButton} id="edit-by-text" text="Edit to match text" busyText="Starting…" action=${editByText} of=${text.value} />`;

/** @param {string} id @param {string} label @param {{ value: string }} value */
const number = (id, label, value) => html`
  <label class="inline" for=${id}>${label} <input id=${id} class="number" type="number" min="0" step="any" value=${value.value}
    onInput=${(/** @type {any} */ event) => { value.value = event.target.value; }} /> s</label>`;

const ClipSearch = () => html`
  <${Field} id="clip" label="Video">
    <input id="clip" type="file" accept="video/*,.mkv,.gif"
      onChange=${(/** @type {any} */ event) => { clip.value = event.target.files[0] ?? null; }} /><//>
  <div class="row">${number("clip-start", "Start", start)}${number("clip-seconds", "Duration", seconds)}</div>
  <${ActionButton} id="project-clip" text="Project clip" busyText="Uploading…" action=${projectClip}
    of=${`${clip.value?.name} ${start.value} ${seconds.value}`} />`;

/** @type {import("./index.js").Part} */
export const search = {
  place: "edit",
  title: "Search",
  isShown: () => Boolean(source.value?.num_layers),
  Body: () => html`
    <${Steps} /><${TextSearch} />
    ${!source.value?.is_image_model && html`<${ClipSearch} />`}
    <ul id="jobs">${jobs.value.filter((job) => hasResult(job) && job.source === view.a.value.model && job.state !== "canceled")
      .map((job) => html`<${Card} key=${job.number} job=${job} />`).reverse()}</ul>`,
};

/** @type {import("./index.js").Part} */
export const comparison = {
  place: "dialogs",
  Body: () => html`
    <${Dialog} id="comparison-dialog" title="Original (left) and result (right)" isOpen=${isComparing}>
      <video id="comparison" src=${`api/jobs/${compared.value?.number}/comparison.mp4`} controls loop muted autoplay
        playsinline aria-label="Original on the left, result on the right" />
    <//>`,
};
