// OSC: values that other programs send to the studio's --osc-port. Addresses below /styleganv/ need no mapping:
//
//     /styleganv/KEY VALUE      a parameter, in its own units            /styleganv/psi 0.7
//     /styleganv/KEY            an action                                /styleganv/randomize/content
//     /styleganv/content, motion, label, time, play                      /styleganv/content "3@0.5,8@0.5"
//
// All others are inputs for mappings: osc/fader/1, and osc/xy#2 for the second value of an address.

import { termProblem } from "../core/notation.js";
import { jump, liveListeners } from "../core/playback.js";
import { steer } from "../core/steering.js";
import { change, transport } from "../core/state.js";
import { feed } from "./mappings.js";
import { allTargets, isAction, slug } from "./targets.js";

/** @typedef {number | string | boolean | null} Arg */
const PREFIX = "/styleganv/";

/** @param {Arg} arg @param {(text: string) => void} set */
const withTerms = (arg, set) => { if (arg !== null && !termProblem(String(arg))) set(String(arg)); };

/** @type {Record<string, (arg: Arg) => void>} */
const VALUES = {
  content: (arg) => withTerms(arg, (content) => change({ content })),
  motion: (arg) => (arg === null ? change({ motion: null }) : withTerms(arg, (motion) => change({ motion }))),
  label: (arg) => change({ label: typeof arg === "boolean" ? null : arg }),
  time: (arg) => { if (typeof arg === "number") jump(arg); },
  play: (arg) => { transport.isPlaying.value = Boolean(arg ?? true); },
};

/** Values to set with the next frame, by target. @type {Map<import("./targets.js").Parameter, number>} */
const pending = new Map();
const setPending = () => {
  pending.forEach((value, target) => target.set(value));
  pending.clear();
  return false;
};

/** @param {string} key @param {Arg} arg */
function control(key, arg) {
  if (Object.hasOwn(VALUES, key)) return VALUES[key](arg);
  const target = allTargets().find((one) => one.key.split("/").map(slug).join("/") === key);
  if (!target) return;
  if (isAction(target)) {
    if (arg === undefined || arg) target.run(); // A button sends 1, and 0 when it is released.
  } else if (typeof arg === "number") {
    pending.set(target, Math.min(Math.max(arg, target.min), target.max));
    steer(setPending);
  }
}

/** @param {string} address @param {Arg[]} args */
export function receiveOsc(address, args) {
  if (address.startsWith(PREFIX)) return control(address.slice(PREFIX.length), args[0]);
  const values = args.length ? args : [1];
  values.forEach((arg, i) => {
    const value = typeof arg === "boolean" ? Number(arg) : arg;
    if (typeof value === "number") feed(`osc${address}${i ? `#${i + 1}` : ""}`, value, args.length ? undefined : true);
  });
}

export const followOsc = () => liveListeners.add((message) => {
  if (message.type === "osc") receiveOsc(message.address, message.args);
});
