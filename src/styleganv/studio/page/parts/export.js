// Export: the timeline, or the video from the present time on, as a job that writes a file, or as the command that does.

import { toQuery } from "../core/address.js";
import { postJson } from "../core/api.js";
import { clock } from "../core/clock.js";
import { startJob } from "../core/jobs.js";
import { changeTimeline, closeTimeline, startTimeline } from "../core/keyframes.js";
import { commandBody, fetchFormats } from "../core/protocol.js";
import { effect, html, signal, useEffect } from "../core/ui.js";
import { source, transport, view } from "../core/state.js";
import { timeline, withTimeline } from "../core/timeline.js";
import { ActionButton } from "../widgets/button.js";
import { Check, ErrorText, Field, Select, errorProps } from "../widgets/field.js";
import { toast } from "../widgets/toast.js";

const MAX_SCALE = 16, MAX_NAME = 60;
const SCALES = [["", "Automatic"], ...Array.from({ length: MAX_SCALE }, (_, i) => [i + 1, `${i + 1}×`])];
const formats = signal(/** @type {Record<string, string>} */ ({}));
const format = signal("mp4"), scale = signal(""), seconds = signal(4), command = signal("");
/** Frame rate of the file; null takes that of the page. */
const ownFps = signal(/** @type {number | null} */ (null));

const settings = () => [
  view.a.value, timeline.value, transport.speed.value, transport.fps.value, seconds.value, ownFps.value, format.value, scale.value,
];
// The command of another video would stand under the wrong one.
effect(() => { settings(); command.value = ""; });

/** A model with a frame rate of its own has only that. */
function fps() {
  if (!source.value?.supports_any_fps) return source.value?.fps ?? 25;
  return timeline.value?.fps ?? ownFps.value ?? transport.fps.value;
}

const describe = async () => (await postJson("api/command", commandBody(withTimeline(view.a.peek()), timeline.peek()
  ? { format: format.peek() }
  : { start: clock.time, seconds: seconds.peek(), fps: fps(), speed: transport.speed.peek(), format: format.peek() }))).json();

async function save() {
  const { project } = await describe(), { content, model } = view.a.peek();
  const what = timeline.peek() ? "timeline" : `${/^\d+$/.test(content) ? "seed-" : ""}${content}`;
  const name = `${model}-${what}`.replace(/[^\p{L}\p{N}_.-]+/gu, "-").slice(-MAX_NAME);
  const values = { source: model, project, name, address: toQuery(), format: format.peek() };
  await startJob(postJson("api/jobs/export", scale.peek() ? { ...values, scale: Number(scale.peek()) } : values));
}

const showCommand = async () => { command.value = (await describe()).command; };

const copy = async () => { await navigator.clipboard.writeText(command.peek()); toast("Command copied."); };

/** @param {{ id: string, label: string, value: number, unit: string, max: number, error?: string, onChange: (value: number) => void }} props */
const Number_ = ({ id, label, value, unit, max, error, onChange }) => html`
  <${Field} id=${id} label=${label} error=${error}>
    <input id=${id} class="number" type="number" min="0.01" max=${max} step="any" value=${value} ...${errorProps(error)}
      onChange=${(/** @type {any} */ event) => { if (Number(event.target.value) > 0) onChange(Number(event.target.value)); }} />
    <span class="unit">${unit}</span><//>`;

/** @param {boolean} isOn */
function setLoop(isOn) {
  const line = timeline.peek();
  if (!line) startTimeline({ seconds: seconds.peek(), fps: fps(), loop: true });
  else if (!isOn && line.keyframes.length === 1) closeTimeline();
  else changeTimeline({ loop: isOn });
}

function Body() {
  const line = timeline.value, of = JSON.stringify(settings());
  useEffect(() => { fetchFormats().then((all) => { formats.value = all; }).catch(() => {}); }, []);
  const { width = 0, height = 0, supports_any_fps: hasAnyFps, num_layers: numLayers } = source.value ?? {};
  const [rows, columns] = view.a.value.grid ?? [1, 1], factor = Number(scale.value);
  return html`
    <${Number_} id="export-seconds" label="Duration" unit="s" max=${86400} value=${line?.seconds ?? seconds.value} error="seconds"
      onChange=${(/** @type {number} */ value) => (line ? changeTimeline({ seconds: value }) : (seconds.value = value))} />
    ${hasAnyFps && html`
      <${Number_} id="export-fps" label="Frame rate" unit="fps" max=${1000} value=${fps()}
        onChange=${(/** @type {number} */ value) => (line ? changeTimeline({ fps: value }) : (ownFps.value = value))} />`}
    ${Boolean(numLayers) && html`<${Check} id="export-loop" label="Seamless loop" checked=${line?.loop ?? false} onChange=${setLoop} />`}
    <${Field} id="export-format" label="Format">
      <${Select} id="export-format" options=${Object.entries(formats.value)} value=${format.value}
        onChange=${(/** @type {string} */ name) => { format.value = name; }} /><//>
    <${Field} id="export-scale" label="Size">
      <${Select} id="export-scale" options=${SCALES} value=${scale.value} onChange=${(/** @type {string} */ value) => { scale.value = value; }} />
      ${factor > 0 && rows * columns === 1 && html`<span class="unit">${width * factor}×${height * factor}</span>`}<//>
    ${!line && html`<p class="hint">From the present time on, at the present speed.</p>`}
    <div class="row">
      <${ActionButton} id="export" kind="primary" text="Save video" busyText="Starting…" action=${save} of=${of} />
      <${ActionButton} id="show-command" text="Show command" action=${showCommand} of=${of} />
    </div>
    ${command.value && html`<pre id="command" tabindex="0">${command.value}</pre>
      <${ActionButton} id="copy-command" text="Copy command" action=${copy} />`}`;
}

/** @type {import("./index.js").Part} */
export const exporting = { place: "create", title: "Export", Body };
