// Controllers: MIDI devices of this machine, and OSC from other programs.

import { getJson } from "../core/api.js";
import { html, signal, useEffect } from "../core/ui.js";
import { connectMidi, controllers } from "../perform/midi.js";
import { ActionButton } from "../widgets/button.js";

/** The studio's --osc-port; null without one, undefined while it is not known. */
const oscPort = signal(/** @type {number | null | undefined} */ (undefined));

function Body() {
  useEffect(() => { getJson("api/osc").then(({ port }) => { oscPort.value = port; }, () => {}); }, []);
  const names = controllers.value, port = oscPort.value;
  return html`
    ${names === null ? html`<div class="row">
        <${ActionButton} id="connect-midi" text="Connect MIDI" busyText="Connecting MIDI…" action=${connectMidi} /></div>`
      : html`<p id="midi" class="hint" role="status">MIDI: ${names.join(", ") || "no controller, connect one"}</p>`}
    ${port !== undefined && html`<p id="osc" class="hint">${port === null ? html`OSC: off, start the studio with <code>--osc-port 9000</code>`
      : html`OSC: UDP port ${port}, e.g. <code>/styleganv/psi 0.7</code>`}</p>`}`;
}

/** @type {import("./index.js").Part} */
export const controllerList = { place: "perform", title: "MIDI and OSC", Body };
