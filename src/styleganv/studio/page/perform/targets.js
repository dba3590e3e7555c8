// Targets: what controllers, OSC and audio can control. Parameters take values in their own units; actions run.
//
//     addTargets(() => [{ key: "psi", label: "Truncation psi", controls: ["psi"], min: 0, max: 1.5,
//       get: () => view.a.peek().psi, set: (psi) => change({ psi }) }])
//
// A key is also an OSC address: `/styleganv/psi 0.7`.

import { MAX_STRENGTH, directionNames } from "../core/directions.js";
import { openFavorite } from "../core/favorites.js";
import { undo } from "../core/history.js";
import { formatTerms, parseTerms, round } from "../core/notation.js";
import { jump, togglePlay } from "../core/playback.js";
import { fetchFavorites } from "../core/protocol.js";
import { computed, signal } from "../core/ui.js";
import { change, randomize, source, transport, view } from "../core/state.js";

/** @typedef {{ key: string, label: string, controls?: string[] }} Named controls: ids of elements on the page that do
 *   the same */
/** @typedef {Named & { min: number, max: number, get: () => number, set: (value: number) => void }} Parameter */
/** @typedef {Named & { run: () => void }} Action */
/** @typedef {Parameter | Action} Target */

const providers = signal(/** @type {(() => Target[])[]} */ ([]));
const targets = computed(() => providers.value.flatMap((provider) => provider()));
/** Add targets of the present state. @param {() => Target[]} provider */
export const addTargets = (provider) => { providers.value = [...providers.peek(), provider]; };
export const allTargets = () => targets.value;
/** @param {string} key */
export const findTarget = (key) => allTargets().find((one) => one.key === key);
/** @param {Target} target @returns {target is Action} */
export const isAction = (target) => "run" in target;

/** Return a name as a part of an OSC address. @param {string} name */
export const slug = (name) => name.replace(/[^\w.-]+/g, "-");

// Which targets there are does not depend on their values, which change all the time.
export const model = computed(() => view.a.value.model);
const isMixed = computed(() => Boolean(view.a.value.mix));
const usedDirections = computed(() => JSON.stringify(Object.keys(view.a.value.directions)));
/** @param {string | null} text */
const termNames = (text) => (parseTerms(text ?? "") ?? []).map(({ term }) => term).join();
const terms = { content: computed(() => termNames(view.a.value.content)), motion: computed(() => termNames(view.a.value.motion)) };

const NUM_FAVORITES = 9;
const MAX_JUMP_SECONDS = 1000;

addTargets(() => (source.value?.supports_truncation ? [{
  key: "psi", label: "Truncation psi", controls: ["psi", "psi-value"], min: 0, max: 1.5, get: () => view.a.peek().psi,
  set: (psi) => change({ psi: round(psi, 3) }),
}] : []));

addTargets(() => (source.value?.supports_any_fps ? [{
  key: "speed", label: "Speed", controls: ["speed", "speed-value"], min: 1 / 16, max: 4,
  get: () => transport.speed.peek(), set: (speed) => { transport.speed.value = round(speed, 3); },
}] : []));

// The amount of all style mixing: what follows the @ of each part.
addTargets(() => (isMixed.value ? [{
  key: "mix", label: "Mix amount", controls: ["mix-amount", "mix-amount-value"], min: 0, max: 1,
  get: () => Number(/@([^;]*)/.exec(view.a.peek().mix ?? "")?.[1] ?? 1),
  set: (amount) => change({
    mix: (view.a.peek().mix ?? "").split(";").map((part) => `${part.replace(/@.*/, "")}@${round(amount, 3)}`).join(";"),
  }),
}] : []));

/** The weights of several contents or motions, e.g. the two axes of a map. @param {"content" | "motion"} key @returns {Target[]} */
function weights(key) {
  const names = terms[key].value.split(",");
  return names.length < 2 ? [] : names.map((term, i) => ({
    key: `weight/${key}/${i + 1}`, label: `Weight of ${key} ${term}`, min: -1, max: 1,
    get: () => parseTerms(view.a.peek()[key] ?? "")?.[i]?.weight ?? 0,
    set: (weight) => {
      const now = parseTerms(view.a.peek()[key] ?? "");
      if (now?.[i]) change({ [key]: formatTerms(now.with(i, { ...now[i], weight: round(weight, 3) })) });
    },
  }));
}
addTargets(() => [...weights("content"), ...weights("motion")]);

addTargets(() => {
  const names = new Set([...JSON.parse(usedDirections.value), ...(directionNames.value[model.value] ?? [])]);
  return [...names].map((name) => {
    const control = `direction-${name.replaceAll(" ", "-")}`;
    return {
      key: `direction/${name}`, label: `Direction ${name}`, controls: [control, `${control}-value`],
      min: -MAX_STRENGTH, max: MAX_STRENGTH, get: () => view.a.peek().directions[name] ?? 0,
      set: (strength) => change({ directions: { ...view.a.peek().directions, [name]: round(strength, 3) } }),
    };
  });
});

/** @param {number} number from 1, in the order of their names */
async function openNumber(number) {
  const favorite = (await fetchFavorites().catch(() => []))[number - 1];
  if (favorite) openFavorite(favorite);
}

addTargets(() => [
  { key: "randomize", label: "Surprise me", controls: ["randomize"], run: () => randomize("content", "motion") },
  { key: "randomize/content", label: "Random content", controls: ["seed-dice"], run: () => randomize("content") },
  ...(source.value?.supports_motion_seed ? [{
    key: "randomize/motion", label: "Random motion", controls: ["motion-seed-dice"], run: () => randomize("motion"),
  }] : []),
  { key: "jump", label: "Jump to a random time", run: () => jump(Math.random() * MAX_JUMP_SECONDS) },
  { key: "start", label: "Go to start", run: () => jump(0) },
  { key: "toggle", label: "Play or pause", controls: ["play"], run: togglePlay },
  { key: "undo", label: "Undo", controls: ["undo"], run: undo },
  ...Array.from({ length: NUM_FAVORITES }, (_, i) => (
    { key: `favorite/${i + 1}`, label: `Favorite ${i + 1}`, run: () => openNumber(i + 1) })),
]);
