// Curves of logs as data for charts: which scalars share a chart, and smoothed values.

/** @typedef {import("./runs.js").Columns} Columns */
/** @typedef {{ label: string, color: string, dash: number[], x: number[], y: number[] }} Line */

/** Charts by title, with the scalars that they contain. @type {[string, RegExp][]} */
const GROUPS = [
  ["Losses", /^loss_/], ["Logits", /^logits_/], ["Distance to real videos", /^frechet_/],
  ["Gradient penalties", /^r[12](_|$)/], ["Augmentation", /^augment_/], ["Differences between contents", /^snapshot_diversity$/],
];
const HIDDEN = new Set(["clips_seen", "frames_seen", "time"]);
/** Distinct on light and on dark, for different kinds of color vision. */
export const COLORS = ["#2f7fd6", "#d9682b", "#2a9d78", "#b35bc4", "#b98a00", "#dd4477", "#7a8794", "#0f9fb3"];
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3], [1, 6]];

/** Return the charts of scalars: groups first, then one chart per other scalar. @param {string[]} names
 * @returns {[string, string[]][]} */
export function groupScalars(names) {
  const shown = names.filter((name) => !HIDDEN.has(name));
  const isGrouped = (/** @type {string} */ name) => GROUPS.some(([, pattern]) => pattern.test(name));
  const groups = /** @type {[string, string[]][]} */ (
    GROUPS.map(([title, pattern]) => [title, shown.filter((name) => pattern.test(name))]));
  const others = /** @type {[string, string[]][]} */ (
    shown.filter((name) => !isGrouped(name)).map((name) => [name.replaceAll("_", " "), [name]]));
  return [...groups.filter(([, members]) => members.length), ...others];
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

/** Return the lines of a chart. Of one run, each scalar has a color; of several, each run has one, and each scalar a dash.
 * @param {[string, Columns][]} logs by run @param {string[]} names @returns {Line[]} */
export function toLines(logs, names) {
  return logs.flatMap(([run, columns], i) => names.map((name, j) => {
    const [x, y] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
    (columns[name] ?? []).forEach((value, at) => {
      const clips = columns.clips_seen[at];
      if (value !== null && clips !== null) { x.push(clips); y.push(value); }
    });
    const isOne = logs.length === 1;
    const label = isOne ? name : names.length === 1 ? run : `${run} ${name}`;
    return { label, color: COLORS[(isOne ? j : i) % COLORS.length], dash: isOne ? [] : DASHES[j % DASHES.length], x, y };
  })).filter((line) => line.x.length);
}
