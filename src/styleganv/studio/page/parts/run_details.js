// What a run reports in text: its latest numbers, its settings (of several runs, those that differ), and the end of its log.

import { getJson } from "../core/api.js";
import { runUrl } from "../core/protocol.js";
import { formatCount, formatNumber } from "../core/run_text.js";
import { html, useEffect, useSignal } from "../core/ui.js";

/** @typedef {import("../core/runs.js").Run} Run */

/** Return what the server says of a run, anew whenever `version` changes.
 * @param {string} url @param {unknown} version @returns {any} null until it is known */
function useJson(url, version) {
  const value = useSignal(/** @type {any} */ (null));
  useEffect(() => {
    let isCurrent = true;
    getJson(url).then((json) => { if (isCurrent) value.value = json; }, () => {}); // The page reports a lost connection.
    return () => { isCurrent = false; };
  }, [url, version]);
  return value.value;
}

/** @param {{ id: string, names: string[], rows: [string, string[]][], caption: string }} props */
const Table = ({ id, names, rows, caption }) => html`
  <div class="table" tabindex="0" role="region" aria-label=${caption}><table id=${id}>
    ${names.length > 1 && html`
      <thead><tr><td></td>${names.map((name) => html`<th scope="col" key=${name}>${name}</th>`)}</tr></thead>`}
    <tbody>${rows.map(([key, values]) => html`
      <tr key=${key}><th scope="row">${key}</th>${values.map((value) => html`<td>${value}</td>`)}</tr>`)}</tbody>
  </table></div>`;

/** @param {{ runs: Run[] }} props */
export function Numbers({ runs }) {
  const keys = [...new Set(runs.flatMap(({ scalars }) => Object.keys(scalars)))].filter((key) => key !== "time").sort();
  if (!keys.length) return html`<p class="hint">Nothing logged yet.</p>`;
  const value = (/** @type {number | undefined} */ number) => (number === undefined ? "–" : formatNumber(number));
  return html`<${Table} id="numbers" caption="Latest numbers" names=${runs.map(({ name }) => name)}
    rows=${keys.map((key) => [key, runs.map(({ scalars }) => value(scalars[key]))])} />`;
}

/** Return the rows of settings, of several runs those that differ. @param {Record<string, string>[]} settings
 * @returns {[string, string[]][]} */
export function settingRows(settings) {
  const keys = [...new Set(settings.flatMap(Object.keys))];
  const rows = keys.map((key) => /** @type {[string, string[]]} */ ([key, settings.map((one) => one[key] || "–")]));
  return settings.length > 1 ? rows.filter(([, values]) => new Set(values).size > 1) : rows;
}

/** @param {{ runs: Run[] }} props */
export function Settings({ runs }) {
  const known = useSignal(/** @type {Record<string, Record<string, string>>} */ ({}));
  const names = runs.map(({ name }) => name);
  const version = runs.map((run) => `${run.name} ${run.state} ${run.total_clips}`).join("\n"); // A resume can change them.
  useEffect(() => {
    let isCurrent = true;
    Promise.all(names.map(async (name) => [name, await getJson(runUrl(name, "settings"))])).then(
      (pairs) => { if (isCurrent) known.value = Object.fromEntries(pairs); }, () => {});
    return () => { isCurrent = false; };
  }, [version]);
  if (!names.every((name) => known.value[name])) return html`<p class="hint">Loading…</p>`;
  const rows = settingRows(names.map((name) => known.value[name]));
  const table = html`<${Table} id="settings" caption="Settings" names=${names} rows=${rows} />`;
  if (names.length === 1) return html`<details><summary>All settings</summary>${table}</details>`;
  return rows.length ? table : html`<p class="hint">No setting differs.</p>`;
}

/** Return a line of a log for the user: time, clips, and what it reports. @param {string} line */
export function formatLine(line) {
  let record;
  try { record = JSON.parse(line); } catch { return line; }
  const { time, clips_seen: clips, event, frames_seen: _, ...scalars } = record;
  const numbers = Object.entries(scalars).map(([key, value]) =>
    `${key} ${typeof value === "number" ? formatNumber(value) : JSON.stringify(value)}`);
  const clock = time ? new Date(time * 1000).toLocaleTimeString("en", { hour12: false }) : "";
  return [clock, `${formatCount(clips ?? 0)} clips`, event ?? "", numbers.join(", ")].filter(Boolean).join("  ");
}

/** @param {{ run: Run }} props */
export function LogTail({ run }) {
  const tail = /** @type {{ log: string[], output: string[] } | null} */ (
    useJson(runUrl(run.name, "tail"), `${run.log_end} ${run.log_version} ${run.state} ${run.failure}`));
  if (!tail) return html`<p class="hint">Loading…</p>`;
  return html`
    <pre id="log" tabindex="0" aria-label="Log, newest first">${tail.log.map(formatLine).reverse().join("\n") || "Nothing logged yet."}</pre>
    ${tail.output.length > 0 && html`<h3>Output of the resumed training</h3>
      <pre id="output" tabindex="0" aria-label="Output">${tail.output.join("\n")}</pre>`}`;
}
