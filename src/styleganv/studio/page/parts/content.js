// Content and motion: seeds or search results, truncation, and the class.

import { jobs, jobTitle, showResult } from "../core/jobs.js";
import { seedOf } from "../core/notation.js";
import { addShortcut } from "../core/shortcuts.js";
import { html, signal } from "../core/ui.js";
import { change, locks, randomize, source, view } from "../core/state.js";
import { Check, Field, Select, errorProps } from "../widgets/field.js";
import { Seed } from "../widgets/seed.js";
import { Slider } from "../widgets/slider.js";

addShortcut("c", "c", "Randomize content", () => randomize("content"));
addShortcut("m", "m", "Randomize motion", () => randomize("motion"));
addShortcut("s", "s", "Surprise me: randomize what is not locked", () => randomize("content", "motion"));

/** Seeds to return to from a result. */
const lastSeeds = { content: signal("0"), motion: signal("0") };

/** @param {string} content */
const setContent = (content) => {
  // The motion of a result stays with it.
  const isLeaving = seedOf(view.a.value.content) === null && view.a.value.motion === null;
  change(isLeaving ? { content, motion: lastSeeds.motion.value } : { content });
};

function Source() {
  const { content, model } = view.a.value;
  const results = jobs.value.filter((job) => job.state === "done" && job.source === model);
  if (!results.length) return null;
  const options = [["", "Seed"], ...results.map((job) => [`result-${job.number}`, jobTitle(job)])];
  return html`<${Field} id="source" label="Source">
    <${Select} id="source" options=${options} value=${seedOf(content) === null ? content : ""} onChange=${(/** @type {string} */ name) => {
      const job = results.find((one) => `result-${one.number}` === name);
      if (job) showResult(job); else setContent(lastSeeds.content.value);
    }} /><//>`;
}

function Motion() {
  const { content, motion } = view.a.value;
  const shown = motion ?? (seedOf(content) === null ? lastSeeds.motion.value : content);
  return html`
    <${Seed} id="motion-seed" label="Motion" name="motion" value=${shown} lock=${locks.motion}
      onChange=${(/** @type {string} */ text) => change({ motion: text })} onDice=${() => randomize("motion")} />
    <${Check} id="own-motion" label="Motion of the content" checked=${motion === null}
      onChange=${(/** @type {boolean} */ isOwn) => change({ motion: isOwn ? null : lastSeeds.motion.value })} />`;
}

function Label() {
  const { label } = view.a.value;
  const { class_names: names = [], label_hint: hint = "" } = source.value ?? {};
  if (names.length) {
    const options = [["", "From seed"], ...names.map((name, i) => [i, name])];
    return html`<${Field} id="class" label="Class" error="label">
      <${Select} id="class" error="label" options=${options} value=${label ?? ""}
        onChange=${(/** @type {string} */ text) => change({ label: text === "" ? null : Number(text) })} /><//>`;
  }
  if (!hint) return null;
  return html`<${Field} id="labels" label="Labels" error="label">
    <input id="labels" type="text" value=${label ?? ""} placeholder=${`From seed, or ${hint}`} title=${`From seed, or ${hint}`}
      ...${errorProps("label")} onChange=${(/** @type {any} */ event) => change({ label: event.target.value.trim() || null })} /><//>`;
}

function Body() {
  const { content, motion, psi } = view.a.value;
  if (seedOf(content) !== null) lastSeeds.content.value = content;
  if (motion !== null) lastSeeds.motion.value = motion;
  const { supports_motion_seed: hasMotion, supports_truncation: hasPsi } = source.value ?? {};
  return html`
    <button id="randomize" type="button" class="primary wide" onClick=${() => randomize("content", "motion")}>Surprise me</button>
    <${Source} />
    <${Seed} id="seed" label="Content" name="content" value=${content} lock=${locks.content} onChange=${setContent}
      onDice=${() => randomize("content")} />
    ${hasMotion && html`<${Motion} />`}
    ${hasPsi && html`<${Slider} id="psi" label="Truncation psi" value=${psi} min=${0} max=${1.5} step=${0.05} reset=${1}
      error="psi" onInput=${(/** @type {number} */ value) => change({ psi: value })} />`}
    <${Label} />`;
}

/** @type {import("./index.js").Part} */
export const content = { place: "explore", Body };
