// A chart of lines over clips seen. Charts of the same `zoom` share it, and their cursor. Drag zooms, double-click resets.
//
//     html`<${Chart} title="Losses" lines=${lines} end=${clips} isLog=${false} smoothing=${0.9} zoom=${zoom} />`

import { smooth } from "../core/series.js";
import { formatNumber } from "../core/run_text.js";
import { effect, html, useEffect, useRef } from "../core/ui.js";
import { theme } from "../core/theme.js";
import uPlot from "../vendor/uplot.js";

/** @typedef {import("../core/series.js").Line} Line */
/** @typedef {{ value: [number, number] | null, peek(): [number, number] | null }} Zoom clips, or null for all */

const HEIGHT = 190; // pixels
const DARK = matchMedia("(prefers-color-scheme: dark)");

/** Return the colors of the page as it is now. @param {Element} element */
function inks(element) {
  const style = getComputedStyle(element);
  return { text: style.color, grid: style.borderTopColor };
}

/** Return x and y of all lines over common clips; with smoothing, the pale raw values of each first.
 * @param {Line[]} lines @param {number} smoothing @param {boolean} isLog */
function toData(lines, smoothing, isLog) {
  const visible = (/** @type {number[]} */ y) => (isLog ? y.map((value) => (value > 0 ? value : null)) : y);
  const tables = lines.flatMap(({ x, y }) =>
    (smoothing ? [[x, visible(y)], [x, visible(smooth(y, smoothing))]] : [[x, visible(y)]]));
  return tables.length ? uPlot.join(tables) : [[], []];
}

/** @param {Line[]} lines @param {boolean} isSmoothed */
function toSeries(lines, isSmoothed) {
  const value = (/** @type {unknown} */ _, /** @type {number | null} */ number) => (number == null ? "–" : formatNumber(number));
  const points = (/** @type {Line} */ { x }) => ({ show: x.length < 12 });
  return lines.flatMap((line) => {
    const main = { label: line.label, stroke: line.color, width: 1.6, value, spanGaps: true, points: points(line) };
    const raw = { ...main, class: "raw", width: 1, alpha: 0.3, points: { show: false } };
    return isSmoothed ? [raw, main] : [main];
  });
}

/** @param {{ title: string, lines: Line[], end: number, isLog: boolean, smoothing: number, zoom: Zoom }} props
 *   end: clips at the right edge */
export function Chart({ title, lines, end, isLog, smoothing, zoom }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const chart = useRef(/** @type {uPlot | null} */ (null));
  const ends = useRef(end);
  ends.current = end;
  const isLogarithmic = isLog && lines.every(({ y }) => y.every((value) => value >= 0) && y.some((value) => value > 0));
  const shape = JSON.stringify([lines.map(({ label, color, x }) => [label, color, x.length < 12]), smoothing > 0, isLogarithmic]);

  useEffect(() => {
    const element = /** @type {HTMLElement} */ (place.current);
    const axis = {
      stroke: () => inks(element).text, font: "12px system-ui", grid: { stroke: () => inks(element).grid, width: 1 },
      ticks: { show: false },
    };
    const format = (/** @type {unknown} */ _, /** @type {(number | null)[]} */ values) =>
      values.map((value) => (value === null ? "" : compact(value)));
    const plot = new uPlot({
      width: Math.max(element.clientWidth, 50), height: HEIGHT,
      cursor: {
        sync: { key: "clips" }, y: false, drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => () => { zoom.value = null; return null; } },
      },
      scales: { x: { time: false }, y: isLogarithmic ? { distr: 3 } : { range: pad } },
      axes: [{ ...axis, size: 28, values: format }, { ...axis, size: 52, values: format }],
      series: [{ label: "clips", value: (/** @type {unknown} */ _, /** @type {number | null} */ x) => (x === null ? "–" : formatNumber(x)) },
        ...toSeries(lines, smoothing > 0)],
      hooks: {
        setSelect: [(/** @type {any} */ u) => {
          const { left, width } = u.select;
          if (width < 4) return;
          u.setSelect({ left: 0, width: 0 }, false);
          zoom.value = [u.posToVal(left, "x"), u.posToVal(left + width, "x")];
        }],
        setSeries: [(/** @type {any} */ u, /** @type {number | null} */ index, /** @type {any} */ { show }) => {
          // The raw values of a line come and go with it.
          if (smoothing > 0 && index && show !== undefined && u.series[index - 1].class === "raw") u.setSeries(index - 1, { show });
        }],
      },
    }, toData(lines, smoothing, isLogarithmic), element);
    chart.current = plot;
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT }));
    observer.observe(element);
    const endFollowing = effect(() => show(plot, zoom.value, ends.current));
    const endTheme = effect(() => { theme.value; plot.redraw(false, true); });
    const redraw = () => plot.redraw(false, true);
    DARK.addEventListener("change", redraw);
    return () => {
      [endFollowing, endTheme].forEach((stop) => stop());
      DARK.removeEventListener("change", redraw);
      observer.disconnect();
      plot.destroy();
      chart.current = null;
    };
  }, [shape]);

  useEffect(() => {
    const plot = chart.current;
    if (!plot) return;
    plot.setData(toData(lines, smoothing, isLogarithmic)); // uPlot loses its scale if it is not reset
    show(plot, zoom.peek(), end);
  }, [lines, smoothing, end, isLogarithmic]);

  return html`<figure class="chart"><figcaption>${title}</figcaption><div ref=${place} /></figure>`;
}

/** @param {uPlot} plot @param {[number, number] | null} range @param {number} end */
const show = (plot, range, end) => plot.setScale("x", { min: range ? range[0] : 0, max: range ? range[1] : Math.max(end, 1) });

/** Return the range of a linear axis. @param {unknown} _ @param {number | null} min @param {number | null} max */
function pad(_, min, max) {
  if (min === null || max === null) return [0, 1];
  const margin = 0.06 * (max - min) || Math.abs(0.1 * max) || 1;
  return [min >= 0 && min < margin ? 0 : min - margin, max + margin];
}

/** @param {number} value */
const compact = (value) => (Math.abs(value) >= 1000 || value === 0
  ? new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value) : formatNumber(value));
