// The entry point: the layout of the page, and the start of all that runs in it.

import "./core/storage.js"; // first
import { readQuery } from "./core/address.js";
import { followAddress } from "./core/history.js";
import { followJobs } from "./core/jobs.js";
import { loadSources, startPlayback } from "./core/playback.js";
import { followKeyframes } from "./core/keyframes.js";
import { followKeys } from "./core/shortcuts.js";
import { effect, html, render, signal } from "./core/ui.js";
import { page, view } from "./core/state.js";
import { Header } from "./parts/header.js";
import { StageOnly } from "./parts/output.js";
import { Panel, Place } from "./parts/panel.js";
import { Stage } from "./parts/stage.js";
import { Transport } from "./parts/transport.js";
import { Toast } from "./widgets/toast.js";

const [RETRY_MS, POINTER_MS] = [1000, 1500];
const problem = signal("Connecting…");

/** Whether this page is the stage without controls, e.g. in a window on a second display. */
const isStageOnly = new URLSearchParams(location.search).get("stage") === "only";

const Controls = () => (problem.value ? html`<p class="problem" role="status">${problem.value}</p>` : html`
  <${Header} />
  ${page.value.kind !== "video" ? html`<${Place} name="page" />` : html`<main>
    <div class="video"><${Stage} /><${Place} name="video" /><${Transport} /><${Place} name="below" /></div>
    <${Panel} />
  </main>`}
  <${Place} name="dialogs" /><${Toast} />`);

/** Hide the pointer over a video in full screen while it rests. */
function followPointer() {
  let timer = 0;
  addEventListener("pointermove", () => {
    clearTimeout(timer);
    delete document.documentElement.dataset.pointer;
    timer = setTimeout(() => { document.documentElement.dataset.pointer = "hidden"; }, POINTER_MS);
  });
}

async function start() {
  if (!window.WebSocket) {
    problem.value = "The studio requires a browser with WebSockets: use another one.";
    return;
  }
  if (isStageOnly && window.opener) return; // It shows the frames of the page that opened it.
  try {
    await loadSources();
  } catch (error) {
    problem.value = /** @type {Error} */ (error).message;
    setTimeout(start, RETRY_MS);
    return;
  }
  await followJobs(); // The address may name a result.
  readQuery(location.search);
  startPlayback();
  if (!isStageOnly) {
    followKeyframes();
    followAddress();
    followKeys();
  }
  effect(() => { document.title = `${{ video: view.a.value.model, runs: "Runs", run: page.value.run }[page.value.kind]} – styleganv studio`; });
  problem.value = "";
}

render(html`<${isStageOnly ? StageOnly : Controls} />`, document.body);
followPointer();
start();
