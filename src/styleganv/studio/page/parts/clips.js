// Content of one clip with the motion of another: each is dropped on its place, and projected.

import { request } from "../core/api.js";
import { endJob, jobStatus, jobs, startJob } from "../core/jobs.js";
import { jump } from "../core/playback.js";
import { clipJobUrl } from "../core/protocol.js";
import { html, signal } from "../core/ui.js";
import { activity, change, setError, source, view } from "../core/state.js";
import { ErrorText } from "../widgets/field.js";

/** @typedef {"content" | "motion"} Kind */

const SEARCH = { start: "0", seconds: "2", num_steps: "100" };
const MAX_BYTES = 2 ** 28;
/** The jobs of both clips, by the model that they were started for. */
const started = signal(/** @type {Record<Kind, { job: number, name: string } | null>} */ ({ content: null, motion: null }));
const isOver = signal(/** @type {Kind | null} */ (null));
let upload = Promise.resolve(); // The server receives one file at a time.

/** @param {Kind} kind @param {string} model @param {File} file */
async function send(kind, model, file) {
  activity.value = `Uploading ${file.name}…`;
  try {
    const url = clipJobUrl(model, { name: file.name, ...SEARCH });
    const number = await startJob(request(url, { method: "POST", body: file }), (job) => {
      const motion = kind === "content" ? { motion: view.a.peek().motion ?? null } : {};
      change({ [kind]: `result-${job.number}`, ...motion });
      jump(0);
    });
    started.value = { ...started.peek(), [kind]: { job: number, name: file.name } };
  } catch (error) {
    setError(`clip-${kind}`, /** @type {Error} */ (error).message);
  }
  activity.value = "";
}

/** @param {Kind} kind @param {File | undefined} file */
function take(kind, file) {
  setError(`clip-${kind}`, "");
  if (!file) return;
  if (file.size > MAX_BYTES) return setError(`clip-${kind}`, `A clip must be at most 256 MiB, got ${file.name}: shorten it.`);
  const { model } = view.a.peek();
  upload = upload.then(() => send(kind, model, file));
}

/** @param {DragEvent} event @param {Kind} kind */
function drop(event, kind) {
  event.preventDefault();
  isOver.value = null;
  take(kind, event.dataTransfer?.files[0]);
}

/** @param {{ kind: Kind, text: string }} props */
function Clip({ kind, text }) {
  const { job: number, name } = started.value[kind] ?? {};
  const job = jobs.value.find((one) => one.number === number && one.source === view.a.value.model);
  const isOpen = job?.state === "running" || job?.state === "waiting";
  const version = job?.files["preview.webp"];
  return html`
    <div class=${`drop ${isOver.value === kind ? "over" : ""}`} onDragOver=${(/** @type {DragEvent} */ event) => {
      event.preventDefault();
      isOver.value = kind;
    }} onDragLeave=${() => { isOver.value = null; }} onDrop=${(/** @type {DragEvent} */ event) => drop(event, kind)}>
      <label for=${`clip-${kind}`}>${text}</label>
      <input class="hidden" id=${`clip-${kind}`} type="file" accept="video/*,.mkv,.gif"
        onChange=${(/** @type {any} */ event) => { take(kind, event.target.files[0]); event.target.value = ""; }} />
      ${job && html`
        ${isOpen && version && html`<img class="preview" src=${`api/jobs/${number}/preview.webp?v=${version}`}
          alt="Best result so far" />`}
        ${isOpen && html`<progress max="1" value=${job.fraction} aria-label=${`Progress of ${name}`} />`}
        <p class=${job.state === "failed" ? "error" : "hint"}>${name}: ${jobStatus(job)}</p>
        ${isOpen && html`<button type="button" onClick=${() => endJob(job, "cancel")}>Cancel</button>`}`}
      <${ErrorText} of=${`clip-${kind}`} />
    </div>`;
}

/** @type {import("./index.js").Part} */
export const clips = {
  place: "edit",
  title: "From clips",
  isShown: () => Boolean(source.value?.num_layers) && !source.value?.is_image_model,
  Body: () => html`
    <p class="hint">The content of one clip with the motion of another: drop or choose them.</p>
    <div class="drops"><${Clip} kind="content" text="Content" /><${Clip} kind="motion" text="Motion" /></div>`,
};
