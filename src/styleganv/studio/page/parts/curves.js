// The curves of runs: one chart per group of scalars, with a common zoom and cursor.

import { logs } from "../core/runs.js";
import { COLORS, groupScalars, toLines } from "../core/series.js";
import { html, signal, useEffect, useMemo } from "../core/ui.js";
import { Check, Select } from "../widgets/field.js";
import { Slider } from "../widgets/slider.js";

/** The widget of a chart, loaded with uPlot when curves are first shown. @type {{ value: any, peek(): any }} */
const widget = signal(null);
const isLog = signal(false), smoothing = signal(0);
const zoom = signal(/** @type {[number, number] | null} */ (null));
/** Ranges that need no pointer, by the fraction of the clips that they leave out. */
const RANGES = [["0", "All clips"], ["0.5", "Last half"], ["0.9", "Last tenth"], ["", "Zoomed"]];

/** @param {number} end */
function rangeOf(end) {
  const now = zoom.value;
  if (!now) return "0";
  return RANGES.find(([part]) => part && now[0] === Number(part) * end && now[1] === end)?.[0] ?? "";
}

/** @param {{ names: string[] }} props of the runs */
export function Curves({ names }) {
  useEffect(() => { import("../widgets/chart.js").then((module) => { widget.value = module.Chart; }); }, []);
  const Chart = widget.value;
  const known = logs.value;
  const shown = useMemo(() => names.flatMap((name) =>
    (known[name]?.clips_seen?.length ? [/** @type {[string, any]} */ ([name, known[name]])] : [])), [names.join("\n"), known]);
  const charts = useMemo(() => {
    const scalars = [...new Set(shown.flatMap(([, columns]) => Object.keys(columns)))];
    return groupScalars(scalars, shown.length > 1)
      .map(([title, group]) => ({ title, lines: toLines(shown, group) })).filter(({ lines }) => lines.length);
  }, [shown]);
  const end = Math.max(1, ...shown.map(([, columns]) => columns.clips_seen.at(-1) ?? 0));
  const isKnown = names.every((name) => known[name]);
  if (!shown.length) return html`<p class="hint">${isKnown ? "Nothing logged yet." : "Loading…"}</p>`;
  return html`
    <div class="row watch-bar">
      <${Check} id="curves-log" label="Log scale" checked=${isLog.value}
        onChange=${(/** @type {boolean} */ on) => { isLog.value = on; }} />
      <${Slider} id="smoothing" label="Smoothing" value=${smoothing.value} min=${0} max=${0.99} step=${0.01} reset=${0}
        onInput=${(/** @type {number} */ value) => { smoothing.value = value; }} />
      <${Select} id="curves-range" label="Range" value=${rangeOf(end)}
        options=${RANGES.filter(([part]) => part || rangeOf(end) === "")}
        onChange=${(/** @type {string} */ part) => { zoom.value = part === "0" ? null : [Number(part) * end, end]; }} />
      <span class="hint">Clips seen. Drag to zoom, double-click to reset.</span>
    </div>
    <div id="curves" class="charts">${Chart && charts.map(({ title, lines }) => html`
      <${Chart} key=${title} title=${title} lines=${lines} end=${end} isLog=${isLog.value} smoothing=${smoothing.value}
        zoom=${zoom} />`)}
    </div>`;
}

/** The color of a run among those compared. @param {{ index: number }} props */
export const Swatch = ({ index }) => html`
  <svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">
    <rect width="10" height="10" rx="2" fill=${COLORS[index % COLORS.length]} /></svg>`;
