// The queue of exports: progress, result, command, and a link to the state that each was started from.

import { endJob, jobStatus, jobs } from "../core/jobs.js";
import { html } from "../core/ui.js";

/** @typedef {import("../core/jobs.js").Job} Job */

/** Show a result that browsers play. @param {{ url: string, name: string }} props */
function Preview({ url, name }) {
  if (/\.(mp4|webm)$/.test(url)) {
    return html`<video src=${url} aria-label=${name} controls loop muted playsinline preload="metadata" />`;
  }
  return /\.(gif|webp)$/.test(url) ? html`<img class="result" src=${url} alt=${name} loading="lazy" />` : null;
}

/** @param {number} bytes */
const size = (bytes) => (bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** @param {{ job: Job }} props */
function Card({ job }) {
  const { number, name, state, fraction, files, command, address } = job;
  const file = Object.keys(files).find((one) => !one.endsWith(".yaml")) ?? "", url = `api/jobs/${number}/${file}`;
  const isOpen = state === "running" || state === "waiting", suffix = file.slice(file.lastIndexOf("."));
  return html`
    <li class="job" id=${`job-${number}`}>
      <p class="job-name">${name}</p>
      ${state === "running" && html`<progress max="1" value=${fraction} aria-label=${`Progress of ${name}`} />`}
      <p class=${state === "failed" ? "job-status error" : "job-status hint"}>${jobStatus(job)}${file && ` · ${size(files[file])}`}</p>
      ${file && html`<${Preview} url=${url} name=${name} />`}
      <div class="row">
        ${isOpen && html`<button type="button" data-action="cancel" onClick=${() => endJob(job, "cancel")}>Cancel</button>`}
        ${file && html`<a data-action="download" href=${url} download=${`${name}${suffix}`}>Download</a>`}
        ${address && html`<a data-action="restore" href=${address}>Open its settings</a>`}
      </div>
      <details><summary>Command</summary><pre tabindex="0">${command}</pre>
        ${file && html`<a href=${`api/jobs/${number}/export-${number}.yaml`} download>Project file</a>`}</details>
    </li>`;
}

const shown = () => jobs.value.filter(({ kind, state }) => kind === "export" && state !== "canceled").reverse();

/** @type {import("./index.js").Part} */
export const queue = {
  place: "create",
  title: "Videos",
  isShown: () => shown().length > 0,
  Body: () => html`<ul id="exports">${shown().map((job) => html`<${Card} key=${job.number} job=${job} />`)}</ul>`,
};
