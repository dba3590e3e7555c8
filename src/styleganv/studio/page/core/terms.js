// Weighted sums of seeds, all of about the same norm Σ weight², so that no place is duller than a seed.
//
//     planeOf("3") ─▶ plane through seed 3 along two others      pointOf(plane, x, y) ─▶ "3@0.9,4@0.4,5@0.1"

import { MAX_SEED, formatTerms, parseTerms, seedOf } from "./notation.js";

/** @typedef {import("./notation.js").Term} Term */
/** @typedef {{ base: Term[], axes: [string, string] }} Plane base: the center */

const MAX_TERMS = 16; // of the server
/** How far a plane extends from its center; at 1, center and axis have equal parts. */
export const RANGE = 1.5;

/** @param {Term[]} terms */
export const norm = (terms) => Math.hypot(...terms.map(({ weight }) => weight));

/** @param {Term[]} terms @param {number} factor @returns {Term[]} */
export const scaled = (terms, factor) => terms.map(({ term, weight }) => ({ term, weight: factor * weight }));

/** Return the largest terms, with the same norm. @param {Term[]} terms */
export function largest(terms, count = MAX_TERMS - 2) {
  if (terms.length <= count) return terms;
  const limit = terms.map(({ weight }) => Math.abs(weight)).sort((a, b) => b - a)[count - 1];
  const left = terms.filter(({ weight }) => Math.abs(weight) >= limit).slice(0, count);
  return scaled(left, norm(terms) / norm(left));
}

/** @param {string} term @param {number} offset */
const neighbor = (term, offset) => String(((seedOf(term) ?? 0) + offset) % (MAX_SEED + 1));

/** Return the plane that a text lies in, and its place. The last two of three or more terms are its axes.
 * @param {string} text @returns {{ plane: Plane, x: number, y: number }} */
export function planeOf(text) {
  const terms = parseTerms(text) ?? [{ term: "0", weight: 1 }];
  const base = terms.slice(0, -2), axes = terms.slice(-2), length = norm(base);
  const [x, y] = axes.map(({ weight }) => weight / length);
  if (terms.length > 2 && length > 0 && Math.max(Math.abs(x), Math.abs(y)) < 1.01 * RANGE) {
    return { plane: { base: scaled(base, norm(terms) / length), axes: [axes[0].term, axes[1].term] }, x, y };
  }
  const { term } = terms[0];
  return { plane: { base: largest(terms), axes: [neighbor(term, 1), neighbor(term, 2)] }, x: 0, y: 0 };
}

/** Return the text of a place. @param {Plane} plane @param {number} x @param {number} y */
export function pointOf({ base, axes }, x, y) {
  const factor = 1 / Math.hypot(1, x, y), length = norm(base);
  return formatTerms([...scaled(base, factor), ...axes.map((term, i) => ({ term, weight: length * factor * [x, y][i] }))]);
}

/** Return the place at a fraction between the middle two of four weighted sums, on a smooth curve through all of them
 * (Catmull–Rom). @param {Term[][]} knots @param {number} u */
export function between(knots, u) {
  const weights = [(-u + 2 * u ** 2 - u ** 3) / 2, (2 - 5 * u ** 2 + 3 * u ** 3) / 2,
    (u + 4 * u ** 2 - 3 * u ** 3) / 2, (u ** 3 - u ** 2) / 2];
  /** @type {Map<string, number>} */
  const sums = new Map();
  knots.forEach((knot, i) => scaled(knot, weights[i]).forEach(({ term, weight }) =>
    sums.set(term, (sums.get(term) ?? 0) + weight)));
  const terms = [...sums].map(([term, weight]) => ({ term, weight })).filter(({ weight }) => Math.abs(weight) > 1e-4);
  const length = (1 - u) * norm(knots[1]) + u * norm(knots[2]);
  return formatTerms(scaled(largest(terms, MAX_TERMS), length / norm(terms)));
}
