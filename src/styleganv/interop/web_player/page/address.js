/**
 * What is played, as the page's address: only what differs from the default.
 *
 * The keys are those of the studio. `seed` is accepted for `content`.
 */

const MAX_SEED = 2n ** 63n - 1n;
export const MAX_FRAMES = 2 ** 33;

/** Return the default view: content and motion are seeds as text, t is in seconds; no label means the seed's. */
export const defaults = () => ({ content: "0", motion: null, psi: 1, label: null, speed: 1, t: 0, play: true });

/** Return whether a text is a seed. */
export const isSeed = (text) => /^\d{1,19}$/.test(text) && BigInt(text) <= MAX_SEED;

function number(text, low, high, fallback) {
  const value = text === null || !text.trim() ? NaN : Number(text);
  return Number.isFinite(value) ? Math.min(Math.max(value, low), high) : fallback;
}

/** Return the view of an address's query, with the default for what is missing or invalid. */
export function parse(query, fps) {
  const keys = new URLSearchParams(query), view = defaults();
  const content = keys.get("content") ?? keys.get("seed");
  if (content !== null && isSeed(content)) view.content = content;
  if (isSeed(keys.get("motion") ?? "")) view.motion = keys.get("motion");
  view.psi = number(keys.get("psi"), -100, 100, view.psi);
  view.label = keys.get("label");
  view.speed = number(keys.get("speed"), 0, 16, view.speed);
  view.t = number(keys.get("t"), 0, MAX_FRAMES / fps, view.t);
  view.play = keys.get("play") !== "0";
  return view;
}

/** Return the query of a view, "" for the default one. */
export function format(view) {
  const keys = new URLSearchParams(), normal = defaults();
  for (const [key, value] of Object.entries(view)) {
    if (value === normal[key]) continue;
    keys.set(key, key === "play" ? "0" : key === "t" ? String(Math.round(value * 1000) / 1000) : String(value));
  }
  const text = keys.toString();
  return text && `?${text}`;
}
