// The notation of a video's parameters as text: the same in the page's address, in requests, and in project files.
//
//     content, motion   TERM[@WEIGHT],…     3   3@0.6,8@0.4   edit.safetensors   result-2
//     mix               TERM:LAYERS[@AMOUNT];…     5:0-3,6@0.5
//     directions        NAME:STRENGTH;…     content 1:1.5;motion 2:-1
//     grid              ROWSxCOLUMNS        2x3
//     timeline          JSON in base64url   only in addresses

export const MAX_SEED = 2 ** 31 - 1;

/** @typedef {{ term: string, weight: number }} Term */
/** @typedef {{ term: string, layers: number[], amount: number }} Mix what a style mixing takes from one term */

const TERM = /^(?:\d+|[\w.-]+)$/;
const MIX = /^([\w.-]+):([\d,\s-]+)(?:@(-?[\d.]+(?:e-?\d+)?))?$/;

/** @param {number} value */
export const round = (value, digits = 4) => Number(value.toFixed(digits));

/** Return the terms, or null for text that has another form. @param {string} text @returns {Term[] | null} */
export function parseTerms(text) {
  const terms = text.split(",").map((part) => {
    const [term, weight, ...rest] = part.trim().split("@");
    const value = weight === undefined ? 1 : Number(weight || NaN);
    const isSeedInRange = !/^\d+$/.test(term) || Number(term) <= MAX_SEED;
    return TERM.test(term) && isSeedInRange && Number.isFinite(value) && !rest.length ? { term, weight: value } : null;
  });
  return terms.includes(null) ? null : /** @type {Term[]} */ (terms);
}

/** Return the sentence that says why a text cannot be the content or motion, or "". @param {string} text */
export function termProblem(text) {
  const isKnown = parseTerms(text)?.every(({ term }) => seedOf(term) !== null || resultOf(term) !== null);
  return isKnown ? "" : `Enter a whole number from 0 to ${MAX_SEED}.`;
}

/** @param {Term[]} terms */
export const formatTerms = (terms) =>
  terms.map(({ term, weight }) => (weight === 1 ? term : `${term}@${round(weight)}`)).join(",");

/** Return the seed that a text is, or null. @param {string | null} text */
export const seedOf = (text) => (text !== null && /^\d+$/.test(text) && Number(text) <= MAX_SEED ? Number(text) : null);

/** Return the number in "result-2", or null. @param {string | null} text */
export const resultOf = (text) => (/^result-\d+$/.test(text ?? "") ? Number(text?.slice(7)) : null);

/** Return the layers of e.g. "0-3,5". @param {string} text */
function parseLayers(text) {
  return text.split(",").flatMap((part) => {
    const [first, last = first] = part.split("-").map(Number);
    return last < 64 ? Array.from({ length: last - first + 1 }, (_, i) => first + i) : [];
  });
}

/** @param {number[]} layers in ascending order */
const formatLayers = (layers) => layers.reduce((/** @type {number[][]} */ ranges, layer) => {
  const range = ranges.at(-1);
  if (range && range[1] === layer - 1) range[1] = layer; else ranges.push([layer, layer]);
  return ranges;
}, []).map(([first, last]) => (first === last ? first : `${first}-${last}`)).join(",");

/** Return the parts of a style mixing, without those that have another form. @param {string} text @returns {Mix[]} */
export function parseMix(text) {
  return text.split(";").flatMap((part) => {
    const found = MIX.exec(part.trim());
    return found ? [{ term: found[1], layers: parseLayers(found[2]), amount: Number(found[3] ?? 1) }] : [];
  });
}

/** Return the text, or null for nothing. @param {Mix[]} mixes */
export const formatMix = (mixes) => mixes.filter(({ layers }) => layers.length)
  .map(({ term, layers, amount }) => `${term}:${formatLayers(layers)}${amount === 1 ? "" : `@${round(amount)}`}`)
  .join(";") || null;

/** @param {string} text @returns {Record<string, number>} */
export function parseDirections(text) {
  const pairs = text.split(";").map((part) => {
    const at = part.lastIndexOf(":");
    return /** @type {[string, number]} */ ([part.slice(0, at).trim(), Number(part.slice(at + 1) || NaN)]);
  });
  return Object.fromEntries(pairs.filter(([name, strength]) => name && Number.isFinite(strength) && strength));
}

/** @param {Record<string, number>} directions */
export const formatDirections = (directions) =>
  Object.entries(directions).filter(([, strength]) => strength)
    .map(([name, strength]) => `${name}:${round(strength)}`).join(";");

/** @param {string} text @returns {[number, number] | null} */
export function parseGrid(text) {
  const found = /^(\d+)x(\d+)$/.exec(text);
  const grid = found && /** @type {[number, number]} */ ([Number(found[1]), Number(found[2])]);
  return grid && grid[0] * grid[1] > 1 ? grid : null;
}

/** @param {[number, number] | null} grid */
export const formatGrid = (grid) => (grid ? grid.join("x") : "");

/** @typedef {import("./timeline.js").Timeline} Timeline */

const isText = (/** @type {any} */ value) => typeof value === "string";
const isNumber = (/** @type {any} */ value) => Number.isFinite(value);
/** Whether a value of a keyframe has the form that the page computes with; the studio checks the rest.
 * @type {Record<string, (value: any) => boolean>} */
const HAS_FORM = {
  time: isNumber, speed: isNumber, psi: isNumber, content: isText, motion: isText, mix: isText,
  label: (value) => isText(value) || isNumber(value),
  directions: (value) => value instanceof Object && Object.values(value).every(isNumber),
  grid: (value) => Array.isArray(value) && value.length === 2 && value.every(isNumber),
};

/** @param {Timeline} line */
export function formatTimeline(line) {
  const bytes = Array.from(new TextEncoder().encode(JSON.stringify(line)), (byte) => String.fromCharCode(byte));
  return btoa(bytes.join("")).replace(/[+/=]/g, (mark) => ({ "+": "-", "/": "_" }[mark] ?? ""));
}

/** Return a timeline, or null for text that has another form. @param {string} text @returns {Timeline | null} */
export function parseTimeline(text) {
  try {
    const bytes = atob(text.replace(/[-_]/g, (mark) => (mark === "-" ? "+" : "/")));
    const { seconds, fps, start, loop, keyframes } = JSON.parse(new TextDecoder().decode(Uint8Array.from(bytes, (one) => one.charCodeAt(0))));
    const isSound = [seconds, fps].every((one) => isNumber(one) && one > 0) && isNumber(start) && keyframes.length > 0 &&
      keyframes.every((/** @type {any} */ one) => "time" in one && Object.entries(one).every(([key, value]) => HAS_FORM[key]?.(value)));
    return isSound ? { seconds, fps, start, loop: Boolean(loop), keyframes } : null;
  } catch { return null; }
}
