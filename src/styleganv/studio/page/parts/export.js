// Export: the current video as a file, or as the command that generates it.

import { postJson } from "../core/api.js";
import { clock } from "../core/clock.js";
import { exportBody } from "../core/protocol.js";
import { effect, html, signal } from "../core/ui.js";
import { transport, view } from "../core/state.js";
import { ActionButton } from "../widgets/button.js";
import { Field, Select } from "../widgets/field.js";
import { toast } from "../widgets/toast.js";

const FORMATS = ["mp4", "gif", "webp"];
const seconds = signal(4);
const format = signal(FORMATS[0]);
const command = signal("");

const settings = () => [view.a.value, transport.speed.value, transport.fps.value, seconds.value, format.value];
// The command of another video would stand under the wrong one.
effect(() => { settings(); command.value = ""; });

/** @param {string} path */
const post = (path) => postJson(path, exportBody(view.a.peek(), {
  start: clock.time, seconds: seconds.peek(), fps: transport.fps.peek(), speed: transport.speed.peek(), format: format.peek(),
}));

async function save() {
  const link = document.createElement("a");
  const name = view.a.peek().content.replace(/[^\w-]+/g, "-");
  link.href = URL.createObjectURL(await (await post("api/export")).blob());
  link.download = `${/^\d/.test(name) ? "seed" : ""}${name}.${format.peek()}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const showCommand = async () => { command.value = (await (await post("api/command")).json()).command; };

const copy = async () => { await navigator.clipboard.writeText(command.peek()); toast("Command copied."); };

function Body() {
  const of = JSON.stringify(settings());
  return html`
    <${Field} id="export-seconds" label="Duration">
      <input id="export-seconds" class="number" type="number" min="0.04" max="60" step="any" value=${seconds.value}
        onInput=${(/** @type {any} */ event) => { seconds.value = Number(event.target.value); }} /><span class="unit">s</span><//>
    <${Field} id="export-format" label="Format">
      <${Select} id="export-format" options=${FORMATS.map((name) => [name, name])} value=${format.value}
        onChange=${(/** @type {string} */ name) => { format.value = name; }} /><//>
    <p class="hint">From the current time on, with the current speed and frame rate.</p>
    <div class="row">
      <${ActionButton} id="export" kind="primary" text="Save video" busyText="Saving video…" action=${save} of=${of} />
      <${ActionButton} id="show-command" text="Show command" action=${showCommand} of=${of} />
    </div>
    ${command.value && html`<pre id="command" tabindex="0">${command.value}</pre>
      <${ActionButton} id="copy-command" text="Copy command" action=${copy} />`}`;
}

/** @type {import("./index.js").Part} */
export const exporting = { place: "create", title: "Export", Body };
