// The notation of a video's parameters as text: the same in the page's address, in requests, and in project files.
//
//     content, motion   TERM[@WEIGHT],…     3   3@0.6,8@0.4   edit.safetensors   result-2
//     mix               TERM:FIRST-LAST[@AMOUNT]     5:0-3@0.5
//     directions        NAME:STRENGTH;…     content 1:1.5;motion 2:-1
//     grid              ROWSxCOLUMNS        2x3

export const MAX_SEED = 2 ** 31 - 1;

/** @typedef {{ term: string, weight: number }} Term */
/** @typedef {{ term: string, first: number, last: number, amount: number }} Mix one layer range of a style mixing */

const TERM = /^(?:\d+|[\w.-]+)$/;
const MIX = /^([\w.-]+):(\d+)-(\d+)(?:@(-?[\d.]+(?:e-?\d+)?))?$/;

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

/** @param {string} text @returns {Mix | null} */
export function parseMix(text) {
  const found = MIX.exec(text.trim());
  if (!found || Number(found[2]) > Number(found[3])) return null;
  const amount = found[4] === undefined ? 1 : Number(found[4]);
  return { term: found[1], first: Number(found[2]), last: Number(found[3]), amount };
}

/** @param {Mix} mix */
export const formatMix = ({ term, first, last, amount }) =>
  `${term}:${first}-${last}${amount === 1 ? "" : `@${round(amount)}`}`;

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
