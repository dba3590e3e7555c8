// Directions: estimated by the server on request, or found by a job for a score or a text; then one slider each, between
// pictures of what it does.

import { postJson } from "../core/api.js";
import { toQuery } from "../core/address.js";
import { MAX_STRENGTH, directionNames, findDirections, setDirectionNames } from "../core/directions.js";
import { endJob, jobStatus, jobTitle, jobs, startJob } from "../core/jobs.js";
import { settledView } from "../core/settled.js";
import { html, signal, useEffect } from "../core/ui.js";
import { change, source, view } from "../core/state.js";
import { ActionButton, IconButton } from "../widgets/button.js";
import { Dialog } from "../widgets/dialog.js";
import { ErrorText, Field, Select } from "../widgets/field.js";
import { Slider } from "../widgets/slider.js";
import { Thumbnail } from "../widgets/thumbnail.js";

const SHOWN_STRENGTH = 3; // standard deviations
const SCORES = ["brightness", "contrast", "saturation", "red", "green", "blue", "motion", "text"];
const score = signal(SCORES[0]), text = signal("");
const renamed = signal(""), newName = signal("");
const isRenaming = { get value() { return renamed.value !== ""; }, set value(isOpen) { if (!isOpen) renamed.value = ""; } };

/** @param {string} name @param {number} strength */
function setStrength(name, strength) {
  const { [name]: _, ...others } = view.a.value.directions;
  change({ directions: strength ? { ...others, [name]: strength } : others });
}

function findByScore() {
  const wanted = score.peek() === "text" ? { text: text.peek() } : { score: score.peek() };
  const { model } = view.a.peek();
  return startJob(postJson("api/jobs/directions", { source: model, ...wanted, address: toQuery() }), () => findDirections(model));
}

async function rename() {
  const [model, name, next] = [view.a.peek().model, renamed.peek(), newName.peek().trim()];
  const names = await (await postJson("api/directions/rename", { source: model, name, new_name: next })).json();
  const { [name]: strength, ...others } = view.a.peek().directions;
  setDirectionNames(model, names);
  if (strength) change({ directions: { ...others, [next]: strength } });
  renamed.value = "";
}

/** @param {{ name: string, strength: number }} props */
function Direction({ name, strength }) {
  const settled = settledView.value;
  const end = (/** @type {number} */ sign, /** @type {string} */ word) => html`
    <button type="button" class="end" aria-label=${`${name}, ${word}`} onClick=${() => setStrength(name, sign * SHOWN_STRENGTH)}>
      <${Thumbnail} of=${{ ...settled, grid: null, directions: { ...settled.directions, [name]: sign * SHOWN_STRENGTH } }} /></button>`;
  const isOwn = !/^(content|motion) \d+$/.test(name);
  return html`
    <div class="direction">
      ${end(-1, "minus")}
      <${Slider} id=${`direction-${name.replaceAll(" ", "-")}`} label=${name} value=${strength} min=${-MAX_STRENGTH}
        max=${MAX_STRENGTH} step=${0.1} reset=${0} onInput=${(/** @type {number} */ value) => setStrength(name, value)} />
      ${end(1, "plus")}
      ${isOwn && html`<${IconButton} icon="edit" label=${`Rename ${name}`}
        onClick=${() => { renamed.value = newName.value = name; }} />`}
    </div>`;
}

function Search() {
  const { model } = view.a.value;
  const job = jobs.value.find((one) => one.kind === "directions" && one.source === model
    && (one.state === "running" || one.state === "waiting"));
  return html`
    <${Field} id="direction-score" label="Find by">
      <${Select} id="direction-score" options=${SCORES.map((name) => [name, name])} value=${score.value}
        onChange=${(/** @type {string} */ name) => { score.value = name; }} /><//>
    ${score.value === "text" && html`<${Field} id="direction-text" label="Text">
      <input id="direction-text" type="text" maxlength="200" placeholder="a laughing face" value=${text.value}
        onInput=${(/** @type {any} */ event) => { text.value = event.target.value; }} /><//>`}
    <${ActionButton} id="find-by-score" text="Find" busyText="Starting…" isDisabled=${Boolean(job)} action=${findByScore}
      of=${`${model} ${score.value} ${text.value}`} />
    ${job && html`<div class="row" id="direction-job">
      <progress max="1" value=${job.fraction} aria-label=${`Progress of ${jobTitle(job)}`} />
      <span class="hint">${jobStatus(job)}</span>
      <button type="button" onClick=${() => endJob(job, "cancel")}>Cancel</button></div>`}`;
}

function Body() {
  const { model, directions } = view.a.value;
  const names = directionNames.value[model];
  const isDone = jobs.value.some(({ kind, state, source: name }) => kind === "directions" && state === "done" && name === model);
  useEffect(() => { if (isDone && !names) findDirections(model).catch(() => {}); }, [isDone, model]);
  const shown = [...new Set([...(names ?? []), ...Object.keys(directions)])]; // those of the address need no search
  return html`
    ${!names && html`<p class="hint">Estimated in a few seconds, while the video plays.</p>
      <${ActionButton} id="find-directions" text="Find directions" busyText="Finding directions…" of=${model}
        action=${() => findDirections(model)} />`}
    <div id="directions">${shown.map((name) => html`
      <${Direction} key=${name} name=${name} strength=${directions[name] ?? 0} />`)}</div>
    <${ErrorText} of="directions" />
    <${Search} />`;
}

/** @type {import("./index.js").Part} */
export const directions = {
  place: "edit", title: "Directions", isShown: () => Boolean(source.value?.num_layers), Body,
};

/** @type {import("./index.js").Part} */
export const directionName = {
  place: "dialogs",
  Body: () => html`
    <${Dialog} id="direction-name" title="Rename direction" isOpen=${isRenaming}>
      <${Field} id="direction-new-name" label="Name"><input id="direction-new-name" type="text" value=${newName.value}
        onInput=${(/** @type {any} */ event) => { newName.value = event.target.value; }} /><//>
      <${ActionButton} id="rename-direction" kind="primary" text="Rename" action=${rename} of=${newName.value} />
    <//>`,
};
