// The state that all controls change and all stages show: which video, how fast, and which tab is open.
//
//     change({ psi: 0.7 })           changes the video, and so the stage and the address
//     view.a.value.psi               its parameters, in the notation of core/notation.js
//     view.b.value                   what differs in the second video of a comparison, or null without one

import { batch, computed, signal } from "./ui.js";
import { seedOf } from "./notation.js";

/** @typedef {{ content: string, motion: string | null, psi: number, label: string | number | null,
 *   mix: string | null, directions: Record<string, number>, grid: [number, number] | null }} Params
 *   motion: null takes that of the content; label: null takes that of the seed */
/** @typedef {Params & { model: string }} View a video: a source by its name, and parameters */
/** @typedef {{ name: string, title: string, kind: "model" | "run" | "real", version: string, ready: boolean,
 *   loaded: boolean, width: number, height: number, fps: number,
 *   class_names: string[], label_hint: string, num_layers: number, max_seconds: number | null,
 *   supports_any_fps: boolean, supports_motion_seed: boolean, supports_truncation: boolean, is_image_model: boolean,
 * }} Source as the server describes it */

/** @returns {Params} */
export const defaultParams = () => (
  { content: "0", motion: "0", psi: 1, label: null, mix: null, directions: {}, grid: null }
);

export const sources = signal(/** @type {Source[]} */ ([]));
export const view = {
  a: signal(/** @type {View} */ ({ model: "", ...defaultParams() })),
  b: signal(/** @type {Partial<View> | null} */ (null)),
};
/** Whether the first video, which the controls change, stands on the right, as B. */
export const isFlipped = signal(false);
/** The second video, complete. */
export const secondView = computed(() => (view.b.value && { ...view.a.value, ...view.b.value }));
export const transport = { isPlaying: signal(true), speed: signal(1), fps: signal(25) };
export const tab = signal("explore");
/** Which page is shown: the video; all runs; or a run by its name, with others to compare it with.
 * @typedef {{ kind: "video" | "runs" | "run", run: string, others: string[] }} PageState */
export const VIDEO = /** @type {PageState} */ ({ kind: "video", run: "", others: [] });
export const page = signal(VIDEO);
/** Whether the stage scales smoothly, or shows pixels. */
export const isSmooth = signal(true);
/** What the page is doing besides playing, e.g. an upload; the stage says it. */
export const activity = signal("");
/** Whether the content moves by itself: the video goes on without a restart, and its next frames follow. */
export const isGliding = signal(false);
/** What random choices leave as it is. */
export const locks = { content: signal(false), motion: signal(false) };

/** @param {string} name */
export const findSource = (name) => sources.value.find((one) => one.name === name);
/** The source of the first video; undefined if this studio has none of that name. */
export const source = computed(() => findSource(view.a.value.model));

/** Errors by the key of the control concerned ("label", "time", …). Each disappears when its control is corrected. */
export const errors = signal(/** @type {Record<string, string>} */ ({}));

/** @param {string} key @param {string} text empty removes it */
export function setError(key, text) {
  if ((errors.peek()[key] ?? "") === text) return;
  const { [key]: _, ...others } = errors.peek();
  errors.value = text ? { ...others, [key]: text } : others;
}

/** Change parameters of the first video. @param {Partial<Params>} values */
export function change(values) {
  for (const key of Object.keys(values)) setError(key, "");
  view.a.value = { ...view.a.peek(), ...values };
}

/** Open another source with the same seeds, without edits that it may not have. @param {string} name */
export function openSource(name) {
  const next = findSource(name);
  const { content, motion, psi } = view.a.peek();
  const seeds = seedOf(content) === null ? {} : { content, motion };
  batch(() => {
    errors.value = {};
    page.value = VIDEO;
    view.a.value = { ...defaultParams(), ...seeds, psi: next?.supports_truncation ? psi : 1, model: name };
    resetTransport();
  });
}

/** The source's own speed and frame rate. */
export function resetTransport() {
  transport.speed.value = 1;
  transport.fps.value = Math.round(source.peek()?.fps ?? 25);
}

export function resetAll() {
  batch(() => {
    errors.value = {};
    view.a.value = { ...defaultParams(), model: view.a.peek().model };
    locks.content.value = locks.motion.value = false;
    resetTransport();
  });
}

const randomSeed = () => String(Math.floor(Math.random() * 1e6));

/** Choose seeds at random, except locked ones. @param {("content" | "motion")[]} keys */
export function randomize(...keys) {
  const free = keys.filter((key) => !locks[key].peek() && (key === "content" || source.peek()?.supports_motion_seed));
  if (free.length) change(Object.fromEntries(free.map((key) => [key, randomSeed()])));
}
