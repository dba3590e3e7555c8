// Mappings: which input controls which target. Inputs are values of controllers, OSC and audio, by their names.
//
//     feed("midi/1/cc/74", 0.5)      an input has a new value, usually in 0..1
//     addMapping("audio/low", "psi")
//     learning.value = { target: "" }      the next control clicked, then the next input moved, become a mapping

import { steer } from "../core/steering.js";
import { effect, signal } from "../core/ui.js";
import { findTarget, isAction } from "./targets.js";

/** @typedef {{ input: string, target: string, from: [number, number], to: [number, number], curve: string,
 *   smoothing: number }} Mapping from: range of the input; to: that of the target, may be reversed; smoothing: time
 *   constant in seconds */

const KEY = "mappings";
export const [MAX_MAPPINGS, MAX_SMOOTHING] = [200, 5];
/** @type {Record<string, (x: number) => number>} */
export const CURVES = {
  linear: (x) => x, "slow start": (x) => x * x, "fast start": Math.sqrt, "S-curve": (x) => x * x * (3 - 2 * x),
};

export const mappings = signal(/** @type {Mapping[]} */ ([]));
/** Null unless mappings are being learned; `target` is the key of the control that was clicked, or "". */
export const learning = signal(/** @type {{ target: string } | null} */ (null));
/** Names of inputs that have sent a value, for choosing one by hand. */
export const seenInputs = signal(/** @type {string[]} */ ([]));
/** Latest values by input. @type {Map<string, number>} */
export const latest = new Map();
/** Where parameters are on their way to. @type {Map<Mapping, { value: number, goal: number }>} */
const moving = new Map();

/** @param {string} input @param {string} target @param {[number, number]} [from] */
export function addMapping(input, target, from = [0, 1]) {
  const found = findTarget(target);
  const to = /** @type {[number, number]} */ (found && !isAction(found) ? [found.min, found.max] : [0, 1]);
  const others = mappings.peek().filter((one) => one.input !== input || one.target !== target);
  mappings.value = [...others, { input, target, from, to, curve: "linear", smoothing: 0 }].slice(-MAX_MAPPINGS);
}

/** @param {Mapping} mapping @param {Partial<Mapping>} values */
export const editMapping = (mapping, values) => {
  mappings.value = mappings.peek().map((one) => (one === mapping ? { ...one, ...values } : one));
};

/** @param {Mapping} mapping */
export const removeMapping = (mapping) => { mappings.value = mappings.peek().filter((one) => one !== mapping); };

/** Return the target's value for a value of the input. @param {Mapping} mapping @param {number} value */
export function mapValue({ from, to, curve }, value) {
  const x = Math.min(Math.max((value - from[0]) / (from[1] - from[0]), 0), 1);
  return to[0] + (to[1] - to[0]) * CURVES[curve](x);
}

/** Take a new value of an input. Actions run when it rises past the middle of its range, or as `isPress` says.
 * @param {string} input @param {number} value @param {boolean} [isPress] */
export function feed(input, value, isPress) {
  const before = latest.get(input);
  latest.set(input, value);
  if (before === undefined) seenInputs.value = [...seenInputs.peek(), input];
  if (learn(input, value, before)) return;
  for (const mapping of mappings.peek()) if (mapping.input === input) apply(mapping, value, before ?? 0, isPress);
}

/** @param {Mapping} mapping @param {number} value @param {number} before @param {boolean} [isPress] */
function apply(mapping, value, before, isPress) {
  const target = findTarget(mapping.target);
  if (!target) return; // another model's
  if (isAction(target)) {
    const middle = (mapping.from[0] + mapping.from[1]) / 2;
    if (isPress ?? (before <= middle && value > middle)) target.run();
    return;
  }
  const goal = mapValue(mapping, value);
  const present = moving.get(mapping);
  if (present) present.goal = goal;
  else if (Math.abs(goal - target.get()) > 1e-6) moving.set(mapping, { value: target.get(), goal });
  if (moving.size) steer(move);
}

/** Move parameters towards their goals. Returns whether any is still on its way. @param {number} seconds */
function move(seconds) {
  const present = new Set(mappings.peek());
  for (const [mapping, state] of moving) {
    const target = present.has(mapping) ? findTarget(mapping.target) : undefined;
    if (!target || isAction(target)) { moving.delete(mapping); continue; }
    const rest = mapping.smoothing > 0 ? Math.exp(-seconds / mapping.smoothing) : 0;
    state.value = state.goal + (state.value - state.goal) * rest;
    if (Math.abs(state.value - state.goal) < 1e-3 * (target.max - target.min)) {
      state.value = state.goal;
      moving.delete(mapping);
    }
    target.set(state.value);
  }
  return moving.size > 0;
}

/** Return whether the input has become a mapping. @param {string} input @param {number} value
 * @param {number | undefined} before */
function learn(input, value, before) {
  const target = learning.peek()?.target;
  if (!target || value === before || !value || input.startsWith("audio/")) return false;
  const scale = [1, 127].find((high) => Math.abs(value) <= high) ?? Math.abs(value);
  addMapping(input, target, value < 0 ? [-scale, scale] : [0, scale]);
  learning.value = { target: "" };
  return true;
}

/** @param {any} pair @returns {pair is [number, number]} */
const isRange = (pair) => Array.isArray(pair) && pair.length === 2 && pair.every(Number.isFinite);

/** Return mappings from JSON. Throws an Error with a sentence for the user. @param {string} text @returns {Mapping[]} */
export function parseMappings(text) {
  let list;
  try { list = JSON.parse(text); } catch { list = null; }
  if (!Array.isArray(list) || list.length > MAX_MAPPINGS) {
    throw new Error(`Mappings are a JSON list of at most ${MAX_MAPPINGS}: choose a file that Save wrote.`);
  }
  return list.map((one, i) => {
    const { input, target, from, to, curve, smoothing } = one ?? {};
    const isValid = [input, target].every((name) => typeof name === "string" && name.length < 300) && isRange(from)
      && isRange(to) && from[0] !== from[1] && Object.hasOwn(CURVES, curve)
      && Number.isFinite(smoothing) && smoothing >= 0 && smoothing <= MAX_SMOOTHING;
    if (!isValid) throw new Error(`Mapping ${i + 1} is invalid: correct or remove it in the file.`);
    return { input, target, from, to, curve, smoothing };
  });
}

/** Keep the mappings in this browser. */
export function keepMappings() {
  try { mappings.value = parseMappings(localStorage.getItem(KEY) ?? "[]"); } catch { /* of another version */ }
  effect(() => localStorage.setItem(KEY, JSON.stringify(mappings.value)));
}
