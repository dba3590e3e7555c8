// Mappings: which knob, OSC address or feature of the sound controls what.

import {
  CURVES, MAX_SMOOTHING, addMapping, editMapping, latest, learning, mapValue, mappings, parseMappings, removeMapping, seenInputs,
} from "../perform/mappings.js";
import { FEATURES } from "../perform/audio.js";
import { directionNames, findDirections } from "../core/directions.js";
import { allTargets, findTarget, isAction, model } from "../perform/targets.js";
import { html, signal, useEffect, useRef, useSignal } from "../core/ui.js";
import { source } from "../core/state.js";
import { ActionButton, IconButton } from "../widgets/button.js";
import { Field, Select } from "../widgets/field.js";
import { Slider } from "../widgets/slider.js";

/** @typedef {import("../perform/mappings.js").Mapping} Mapping */

const NOTES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
/** @type {Record<string, string>} */
export const FEATURE_NAMES = { level: "Level", low: "Low band", mid: "Mid band", high: "High band", onset: "Onset" };

/** Return the name of an input for people. @param {string} input */
function inputLabel(input) {
  const [kind, first, control, number] = input.split("/");
  if (kind === "audio") return FEATURE_NAMES[first] ?? input;
  if (kind !== "midi") return `OSC ${input.slice(3)}`;
  const channel = first === "1" ? "" : ` (channel ${first})`;
  if (control === "cc") return `Knob ${number}${channel}`;
  if (control === "note") return `Note ${NOTES[Number(number) % 12]}${Math.floor(Number(number) / 12) - 1}${channel}`;
  return `${control === "bend" ? "Pitch bend" : "Pressure"}${channel}`;
}

/** @param {string} key */
const targetLabel = (key) => findTarget(key)?.label ?? `${key} (not in this model)`;

/** Follows the input of a mapping. @param {{ mapping: Mapping }} props */
function Meter({ mapping }) {
  const meter = useRef(/** @type {HTMLMeterElement | null} */ (null));
  const { input, from } = mapping;
  useEffect(() => {
    let frame = requestAnimationFrame(function follow() {
      const value = ((latest.get(input) ?? from[0]) - from[0]) / (from[1] - from[0]);
      if (meter.current && Math.abs(meter.current.value - value) > 0.005) meter.current.value = value;
      frame = requestAnimationFrame(follow);
    });
    return () => cancelAnimationFrame(frame);
  }, [input, ...from]);
  return html`<meter ref=${meter} min="0" max="1" value="0" aria-label=${`Value of ${inputLabel(input)}`} />`;
}

/** Two numbers. @param {{ id: string, label: string, pair: [number, number], isValid?: (pair: [number, number]) => boolean,
 *   onChange: (pair: [number, number]) => void }} props */
function Range({ id, label, pair, onChange, isValid = () => true }) {
  const entry = (/** @type {0 | 1} */ i) => html`
    <input id=${i ? `${id}-high` : id} class="number" type="number" step="any" value=${pair[i]}
      aria-label=${`${label}, ${i ? "high" : "low"}`} onChange=${(/** @type {any} */ { target }) => {
        const next = /** @type {[number, number]} */ (i ? [pair[0], Number(target.value)] : [Number(target.value), pair[1]]);
        if (target.value !== "" && isValid(next)) onChange(next); else target.value = pair[i];
      }} />`;
  return html`<${Field} id=${id} label=${label}>${entry(0)}<span class="unit">to</span>${entry(1)}<//>`;
}

/** @param {{ mapping: Mapping, index: number }} props */
function MappingItem({ mapping, index }) {
  const { input, target, from, to, curve, smoothing } = mapping;
  const isOpen = useSignal(false);
  const id = `mapping-${index + 1}`;
  const found = findTarget(target);
  return html`
    <li class="mapping">
      <div class="row"><button id=${id} type="button" class="name" aria-expanded=${isOpen.value}
        onClick=${() => { isOpen.value = !isOpen.value; }}><span>${inputLabel(input)} → ${targetLabel(target)}</span></button>
        <${Meter} mapping=${mapping} />
        <${IconButton} id=${`${id}-remove`} icon="close" label=${`Remove ${inputLabel(input)} → ${targetLabel(target)}`}
          onClick=${() => removeMapping(mapping)} /></div>
      ${isOpen.value && html`
        <${Range} id=${`${id}-from`} label="Input" pair=${from} isValid=${(/** @type {number[]} */ [a, b]) => a !== b}
          onChange=${(/** @type {[number, number]} */ pair) => editMapping(mapping, { from: pair })} />
        ${found && !isAction(found) && html`
          <${Range} id=${`${id}-to`} label="Output" pair=${to}
            onChange=${(/** @type {[number, number]} */ pair) => editMapping(mapping, { to: pair })} />
          <${Field} id=${`${id}-curve`} label="Curve"><${Select} id=${`${id}-curve`} value=${curve}
            options=${Object.keys(CURVES).map((name) => [name, name])}
            onChange=${(/** @type {string} */ name) => editMapping(mapping, { curve: name })} /><//>
          <${Slider} id=${`${id}-smoothing`} label="Smoothing" unit="s" value=${smoothing} min=${0} max=${MAX_SMOOTHING}
            step=${0.05} reset=${0} onInput=${(/** @type {number} */ value) => editMapping(mapping, { smoothing: value })} />`}`}
    </li>`;
}

const chosen = { input: signal("audio/level"), target: signal("psi") };

function Add() {
  const inputs = [...FEATURES.map((name) => `audio/${name}`), ...seenInputs.value.filter((name) => !name.startsWith("audio/"))];
  const targets = allTargets();
  const target = targets.some(({ key }) => key === chosen.target.value) ? chosen.target.value : targets[0].key;
  return html`
    <div class="row add">
      <${Select} id="mapping-input" label="Input" options=${inputs.map((name) => [name, inputLabel(name)])} value=${chosen.input.value}
        onChange=${(/** @type {string} */ name) => { chosen.input.value = name; }} />
      <span class="unit">→</span>
      <${Select} id="mapping-target" label="Control" options=${targets.map(({ key, label }) => [key, label])} value=${target}
        onChange=${(/** @type {string} */ key) => { chosen.target.value = key; }} />
      <button id="mapping-add" type="button" onClick=${() => addMapping(chosen.input.value, target)}>Add</button>
    </div>`;
}

function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(mappings.peek(), null, 1)], { type: "application/json" }));
  link.download = "mappings.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const fileError = signal("");

/** @param {any} event */
async function open({ target }) {
  try {
    mappings.value = parseMappings(await target.files[0].text());
    fileError.value = "";
  } catch (error) {
    fileError.value = `${target.files[0].name}: ${/** @type {Error} */ (error).message}`;
  }
  target.value = "";
}

function Body() {
  const state = learning.value, name = model.value;
  const needsDirections = source.value?.num_layers && !directionNames.value[name];
  const hasUnknown = needsDirections && mappings.value.some(({ target }) => target.startsWith("direction/"));
  useEffect(() => { if (hasUnknown) findDirections(name).catch(() => {}); }, [hasUnknown, name]);
  return html`
    <div class="row">
      <button id="learn" type="button" class="toggle" aria-pressed=${state !== null}
        onClick=${() => { learning.value = state ? null : { target: "" }; }}>${state ? "Stop learning" : "Learn"}</button>
      ${needsDirections && html`<${ActionButton} id="mapping-directions" text="Find directions" busyText="Finding directions…"
        action=${() => findDirections(name)} of=${name} />`}
    </div>
    <p class="hint" role="status">${!state ? "Learn, click a control, and move a knob. Or choose:"
      : state.target ? `${targetLabel(state.target)}: move a knob, press a key, or send OSC.` : "Click an outlined control, in any tab."}</p>
    <${Add} />
    ${mappings.value.length > 0 && html`<ul id="mappings">${mappings.value.map((mapping, index) => html`
      <${MappingItem} key=${`${mapping.input} ${mapping.target}`} mapping=${mapping} index=${index} />`)}</ul>`}
    <div class="row">
      <button id="save-mappings" type="button" disabled=${!mappings.value.length} onClick=${save}>Save</button>
      <label class="button">Open… <input id="open-mappings" class="hidden" type="file" accept=".json" onChange=${open} /></label>
    </div>
    <p class="error" role="alert" hidden=${!fileError.value}>${fileError.value}</p>`;
}

/** @type {import("./index.js").Part} */
export const mappingList = { place: "perform", title: "Mappings", Body };
