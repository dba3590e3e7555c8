// The timeline as a project file: start, save, open (also by dropping a file on the page), and close.

import { postJson } from "../core/api.js";
import { closeTimeline, moveSelected, openTimeline, startTimeline } from "../core/keyframes.js";
import { commandBody } from "../core/protocol.js";
import { batch, html, signal, useEffect, useRef } from "../core/ui.js";
import { findSource, openSource, setError, source, view } from "../core/state.js";
import { selected, timeline, withTimeline } from "../core/timeline.js";
import { ActionButton } from "../widgets/button.js";
import { ErrorText, Field } from "../widgets/field.js";
import { toast } from "../widgets/toast.js";

const MAX_BYTES = 60_000; // of a project: less than the studio accepts
const isDragging = signal(false);

/** Open the text of a project file. Throws an Error with the studio's sentence. @param {string} text */
async function openText(text) {
  const answer = await (await postJson("api/project", { project: text, source: view.a.peek().model })).json();
  const fps = Math.round(findSource(answer.source)?.fps ?? 25);
  const keyframes = answer.timeline.keyframes.map((/** @type {any} */ { content, motion, ...others }) => ({
    ...others, ...(content === undefined ? {} : { content: String(content) }), ...(motion === undefined ? {} : { motion: String(motion) }),
  }));
  batch(() => {
    if (answer.source !== view.a.peek().model) openSource(answer.source);
    openTimeline({ fps, loop: false, start: 0, ...answer.timeline, keyframes });
  });
  if (answer.model && answer.model !== answer.source) toast(`${answer.model} is not open: shown with ${answer.source}.`);
}

/** @param {File | undefined} file */
async function openFile(file) {
  if (!file) return;
  try {
    if (file.size > MAX_BYTES) throw new Error(`A project file must have at most ${MAX_BYTES} bytes, got ${file.name}: choose another.`);
    await openText(await file.text());
    setError("project", "");
  } catch (error) {
    setError("project", /** @type {Error} */ (error).message);
  }
}

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function save() {
  const body = commandBody(withTimeline(view.a.peek()), { format: "mp4" });
  const { project } = await (await postJson("api/command", body)).json();
  download(new Blob([project], { type: "application/yaml" }), "project.yaml");
}

const KeyframeTime = () => html`
  <${Field} label="Time" id="keyframe-time">
    <input id="keyframe-time" class="number" type="number" min="0" step="any" value=${selected.value?.time}
      onChange=${(/** @type {any} */ event) => { if (event.target.value !== "") moveSelected(Number(event.target.value)); }} />
    <span class="unit">s</span><//>`;

function Body() {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  return html`
    ${timeline.value
      ? html`<p class="hint">${selected.value ? "All controls change the selected keyframe." : "Select a keyframe to change it."}</p>
        ${selected.value && html`<${KeyframeTime} />`}
        <div class="row">
          <${ActionButton} id="save-project" text="Save project" action=${save} of=${timeline.value} />
          <button id="close-timeline" type="button" onClick=${closeTimeline}>Close</button>
          <button id="open-project" type="button" onClick=${() => input.current?.click()}>Open…</button>
        </div>`
      : html`<div class="row">
          <button id="start-timeline" type="button" onClick=${() => startTimeline()}>New timeline</button>
          <button id="open-project" type="button" onClick=${() => input.current?.click()}>Open project…</button></div>`}
    <input id="project-file" ref=${input} type="file" accept=".yaml,.yml" hidden aria-label="Project file"
      onChange=${(/** @type {any} */ event) => { openFile(event.target.files[0]); event.target.value = ""; }} />
    <${ErrorText} of="project" />`;
}

/** A project file may be dropped anywhere. */
function DropTarget() {
  useEffect(() => {
    /** @param {DragEvent} event */
    const over = (event) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); isDragging.value = true; } };
    /** @param {DragEvent} event */
    const leave = (event) => { if (!event.relatedTarget) isDragging.value = false; };
    /** @param {DragEvent} event */
    const drop = (event) => {
      isDragging.value = false;
      const file = [...event.dataTransfer?.files ?? []].find(({ name }) => /\.ya?ml$/i.test(name));
      if (!file) return;
      event.preventDefault();
      openFile(file);
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", leave);
    addEventListener("drop", drop);
    return () => { removeEventListener("dragover", over); removeEventListener("dragleave", leave); removeEventListener("drop", drop); };
  }, []);
  return html`<p id="drop" role="status" hidden=${!isDragging.value}>Drop a project file</p>`;
}

/** @type {import("./index.js").Part} */
export const project = { place: "create", title: "Timeline", isShown: () => Boolean(source.value?.num_layers || timeline.value), Body };
/** @type {import("./index.js").Part} */
export const projectDrop = { place: "dialogs", isShown: project.isShown, Body: DropTarget };
