// Searches: text edits and projections of uploaded clips, with one card per job.

import { postJson, request, runAction } from "./api.js";
import { selectSource } from "./content.js";
import { $, on, showMessage } from "./dom.js";
import { jump } from "./playback.js";
import { currentModel, state } from "./state.js";

const MAX_UPLOAD_BYTES = 2 ** 28;
const [RUNNING_MS, IDLE_MS] = [500, 3000]; // between updates
const startedHere = new Set(); // jobs of this page, whose results are shown at once
let jobs = [];

const editByText = () => startSearch("edit-by-text", "Starting…", () => postJson(
  "api/jobs/text",
  { source: currentModel().name, params: state.params, text: $("text").value, num_steps: Number($("num-steps").value) },
));

const projectClip = () => startSearch("project-clip", "Uploading…", () => {
  const file = $("clip").files[0];
  if (!file) throw new Error("No video file selected: choose one.");
  if (file.size > MAX_UPLOAD_BYTES) {
    throw new Error(`A video must be at most ${MAX_UPLOAD_BYTES / 2 ** 20} MiB, got ${file.name}: shorten it.`);
  }
  const [start, seconds, num_steps] = ["clip-start", "clip-seconds", "num-steps"].map((id) => $(id).value);
  const query = new URLSearchParams({ source: currentModel().name, name: file.name, start, seconds, num_steps });
  return request(`api/jobs/clip?${query}`, { method: "POST", body: file });
});

async function startSearch(buttonId, busyText, send) {
  await runAction($(buttonId), busyText, async () => {
    startedHere.add((await (await send()).json()).number);
    showMessage("");
  });
  await updateJobs();
}

on("edit-by-text", "click", editByText);
on("text", "keydown", (event) => { if (event.key === "Enter") editByText(); });
on("project-clip", "click", projectClip);
on("comparison-dialog", "close", () => $("comparison").pause());

async function updateJobs() {
  try { jobs = (await (await fetch("api/jobs")).json()).filter((job) => ["text", "clip"].includes(job.kind)); } catch { return; /* The players report a lost connection. */ }
  for (const card of [...$("jobs").children]) if (!jobs.some((job) => card.id === `job-${job.number}`)) card.remove();
  showJobs();
  for (const job of jobs) {
    if (["waiting", "running"].includes(job.state) || !startedHere.delete(job.number)) continue;
    if (job.state === "done" && job.model === state.model) showResult(job);
  }
}

export async function followJobs() {
  await updateJobs();
  setTimeout(followJobs, jobs.some((job) => ["waiting", "running"].includes(job.state)) ? RUNNING_MS : IDLE_MS);
}

// Show the jobs of the current model, and offer their results as sources of content.
export function showJobs() {
  const model = currentModel();
  $("search-group").hidden = !model?.num_layers;
  $("clip-group").hidden = model?.is_image_model;
  jobs.forEach(showJob);
  const results = jobs.filter((job) => job.state === "done" && job.model === state.model);
  $("source-row").hidden = !results.length;
  if ($("source").options.length !== results.length + 1 || $("source").dataset.model !== String(state.model)) {
    $("source").replaceChildren(new Option("Seed", ""), ...results.map((job) => new Option(title(job), job.number)));
    $("source").value = state.params.search_result ?? "";
    $("source").dataset.model = state.model;
  }
}

function showResult(job) {
  selectSource(job.number);
  if (job.kind === "clip") jump(0);
}

const title = (job) => (job.kind === "text" ? `Text “${job.name}”` : `Clip ${job.name}`);

function status(job) {
  if (job.state !== "running") return { waiting: "Waiting", done: "Done", failed: job.error, canceled: "" }[job.state];
  const seconds = Math.ceil(job.remaining_seconds);
  const left = seconds && `, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
  return `${job.stage[0].toUpperCase()}${job.stage.slice(1)}${left || ""}`;
}

function showJob(job) {
  const card = $(`job-${job.number}`) ?? createCard(job);
  card.querySelector(".job-name").textContent = title(job);
  card.hidden = job.model !== state.model || job.state === "canceled";
  const line = card.querySelector(".job-status");
  if (line.textContent !== status(job)) line.textContent = status(job);
  line.classList.toggle("error", job.state === "failed");
  const [isRunning, isDone] = [job.state === "running", job.state === "done"];
  Object.assign(card.querySelector("progress"), { value: job.fraction, hidden: !isRunning });
  const visible = { cancel: isRunning || job.state === "waiting", stop: job.can_stop, show: isDone, compare: isDone, download: isDone };
  for (const [name, isVisible] of Object.entries(visible)) find(card, name).hidden = !isVisible;
}

const find = (card, action) => card.querySelector(`[data-action=${action}]`);

function createCard(job) {
  const card = $("job").content.firstElementChild.cloneNode(true);
  const url = `api/jobs/${job.number}`;
  card.id = `job-${job.number}`;
  const end = (action) => fetch(`${url}/${action}`, { method: "POST", body: "" }).then(updateJobs);
  const actions = {
    cancel: () => end("cancel"),
    stop: () => end("stop"),
    show: () => showResult(job),
    compare: () => {
      $("comparison").src = `${url}/comparison.mp4`;
      $("comparison-dialog").showModal();
      $("comparison").play();
    },
  };
  for (const [name, action] of Object.entries(actions)) find(card, name).addEventListener("click", action);
  const download = `result-${job.number}.safetensors`;
  Object.assign(find(card, "download"), { href: `${url}/latents.safetensors`, download });
  $("jobs").prepend(card);
  return card;
}
