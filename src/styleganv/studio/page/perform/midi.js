// MIDI controllers: knobs, faders, keys and pads are inputs named e.g. midi/1/cc/74, where 1 is the channel.

import { signal } from "../core/ui.js";
import { feed } from "./mappings.js";

const KEY = "midi"; // remembers that MIDI was connected
/** Names of connected controllers; null before MIDI is connected. */
export const controllers = signal(/** @type {string[] | null} */ (null));

/** Take a MIDI message: status, and up to two bytes of data. @param {Uint8Array | number[]} message */
export function receiveMidi([status, first = 0, second = 0]) {
  const channel = `midi/${(status & 0x0f) + 1}`;
  const kind = status & 0xf0;
  if (kind === 0xb0) feed(`${channel}/cc/${first}`, second / 127);
  else if (kind === 0x90 || kind === 0x80) {
    const isPress = kind === 0x90 && second > 0; // A velocity of 0 releases the key.
    feed(`${channel}/note/${first}`, isPress ? second / 127 : 0, isPress);
  } else if (kind === 0xd0) feed(`${channel}/pressure`, first / 127);
  else if (kind === 0xe0) feed(`${channel}/bend`, (first + 128 * second) / 16383);
}

/** Throws an Error with a sentence for the user. */
export async function connectMidi() {
  if (!navigator.requestMIDIAccess) {
    throw new Error(isSecureContext ? "This browser has no MIDI: use Chrome, Edge or Opera."
      : "Browsers allow MIDI on HTTPS and on this machine only: open the studio there.");
  }
  let access;
  try {
    access = await navigator.requestMIDIAccess();
  } catch (error) {
    localStorage.removeItem(KEY);
    throw new Error(/** @type {Error} */ (error).name === "SecurityError" || /** @type {Error} */ (error).name === "NotAllowedError"
      ? "The browser denied MIDI: allow it in the settings of this site." : "MIDI is not available: check the system's MIDI devices.");
  }
  const listen = () => {
    const inputs = [...access.inputs.values()].filter((one) => one.state !== "disconnected");
    inputs.forEach((one) => { one.onmidimessage = (event) => { if (event.data) receiveMidi(event.data); }; });
    controllers.value = inputs.map((one) => one.name ?? "Controller");
  };
  access.onstatechange = listen;
  listen();
  localStorage.setItem(KEY, "on");
}

/** Connect without asking if MIDI was connected before. */
export function reconnectMidi() { if (localStorage.getItem(KEY) === "on") connectMidi().catch(() => {}); }
