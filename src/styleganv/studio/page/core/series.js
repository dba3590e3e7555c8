// Curves of logs as data for charts: which scalars share a chart, and smoothed values.

/** @typedef {import("./runs.js").Columns} Columns */
/** @typedef {{ label: string, color: string, x: number[], y: number[] }} Line */

/** Charts by title, with the scalars that they contain. @type {[string, RegExp][]} */
const GROUPS = [
  ["Losses", /^loss_/], ["Logits", /^logits_/], ["Distance to real videos", /^frechet_/],
  ["Gradient penalties", /^r[12](_|$)/], ["Augmentation", /^augment_/], ["Differences between contents", /^snapshot_diversity$/],
];
const HIDDEN = new Set(["clips_seen", "frames_seen", "time"]);
/** Distinct on light and on dark, for different kinds of color vision. */
export const COLORS = ["#2f7fd6", "#d9682b", "#2a9d78", "#b35bc4", "#b98a00", "#dd4477", "#7a8794", "#0f9fb3"];

/** Return the charts of scalars by title: those of a group in one, for a single run; each in its own, to compare several.
 * @param {string[]} names @param {boolean} isComparison @returns {[string, string[]][]} */
export function groupScalars(names, isComparison) {
  /** @param {string} name */
  const groupOf = (name) => GROUPS.findIndex(([, pattern]) => pattern.test(name));
  const shown = names.filter((name) => !HIDDEN.has(name)).sort();
  const grouped = GROUPS.map(([title], i) => /** @type {[string, string[]]} */ ([title, shown.filter((name) => groupOf(name) === i)]));
  const others = shown.filter((name) => groupOf(name) < 0);
  if (isComparison) return [...grouped.flatMap(([, members]) => members), ...others].map((name) => [name, [name]]);
  return [...grouped.filter(([, members]) => members.length), ...others.map((name) => /** @type {[string, string[]]} */ ([name, [name]]))];
}

/** Return the exponential moving average, without the bias of its start. @param {number[]} values
 * @param {number} weight of the past, 0 to 1 */
export function smooth(values, weight) {
  let [sum, total] = [0, 0];
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + 1 - weight;
    return sum / total;
  });
}

/** Return the lines of a chart: of one run, each scalar has a color; of several, each run.
 * @param {[string, Columns][]} logs by run @param {string[]} names @returns {Line[]} */
export function toLines(logs, names) {
  return logs.flatMap(([run, columns], i) => names.map((name, j) => {
    const [x, y] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
    (columns[name] ?? []).forEach((value, at) => {
      const clips = columns.clips_seen[at];
      if (value !== null && clips !== null) { x.push(clips); y.push(value); }
    });
    const isOne = logs.length === 1;
    return { label: isOne ? name : run, color: COLORS[(isOne ? j : i) % COLORS.length], x, y };
  })).filter((line) => line.x.length);
}
