// The page's side of the studio: what the person wants to see (`wish`), and players that fetch and show it.
// A player asks for a few frames at a time, one question after the other, ahead of its clock; when the wish changes it
// forgets what it has and asks at once, which overtakes a question that is open. Where the browser or the model is too
// slow, a player asks for fewer pictures a second (if the model has any rate) and skips what is late all the same; nothing
// queues up anywhere.

const $ = (id) => document.getElementById(id);
const AHEAD = 0.35; // seconds of pictures that a player tries to have ready
const MOST = 4; // frames in a question: what a slider that moves has to wait for
const THINNED = [1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8, 12]; // how many times as far apart pictures may be as was wished
const PATIENCE = [1, 8]; // seconds at least and at most before it is tried whether they can be closer together

const fresh = () => ({ seed: 0, motionSeed: 0, psi: 1, label: null, mix: null, grid: [1, 1], moved: {}, found: null });
const wish = { model: 0, beside: null, scene: fresh(), playing: true, speed: 1, rate: 25 };
const clock = { time: 0, last: performance.now() };
let models = [];

class Player {
  constructor(canvas, number) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d");
    this.number = number; // () => the model's number, or null
    this.ready = [];
    this.epoch = 0; // of the wish; each question and answer has it
    this.drawn = 0; // the latest of which there was a picture
    this.open = false;
    this.asked = { model: null, count: 0, at: 0 }; // the last question
    this.latency = 0.05;
    this.thin = 0; // which of THINNED
    this.cost = 0; // seconds that a picture takes, on average, where some are asked for together
    this.since = 0; // the time of the last change of `thin`
    this.patience = PATIENCE[0];
    this.shown = 0;
    this.after = null; // called with the canvas after a new picture
  }

  connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/frames`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.socket = socket; this.forget(); };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => {
      this.socket = null;
      say("The studio cannot be reached. Is it still running? Trying again …", true, true);
      setTimeout(() => this.connect(), 1000);
    };
  }

  forget() {
    this.epoch += 1;
    this.open = false; // the next question overtakes one that is open
    this.ready.forEach((one) => one.picture.close());
    this.ready = [];
    this.next = null;
    this.failed = false;
    this.still = false;
  }

  // Pictures for each second of the video.
  rate(model) { return model.anyRate ? wish.rate / wish.speed / THINNED[this.thin] : model.fps; }

  // Fewer of them while they come late, as many again as there is time for once none is: a step at a time, and the more
  // slowly the more often that was too many. Where something new begins there is no spacing to keep.
  adapt(late) {
    const now = performance.now() / 1000;
    const last = THINNED.length - 1;
    const enough = THINNED.findIndex((thin) => thin >= 1.1 * this.cost * wish.rate);
    const fits = enough < 0 ? last : enough;
    const [least, most] = PATIENCE;
    const passed = now - this.since;
    if (this.next === null) this.thin = fits;
    else if (late && (passed > least || fits > this.thin)) {
      this.thin = Math.min(Math.max(this.thin + 1, fits), last);
      this.patience = Math.min(2 * this.patience, most);
    } else if (!late && passed > this.patience && fits < this.thin) {
      this.thin -= 1;
      this.patience = Math.max(this.patience / 2, least);
    } else return;
    this.since = now;
  }

  // Ask for what is needed next, if anything is and no question is open.
  ask() {
    const number = this.number();
    if (!this.socket || this.open || this.failed || number === null || !models[number]) return;
    const model = models[number];
    const late = wish.playing && this.next !== null && this.next < clock.time - 1 / this.rate(model);
    if (number !== this.asked.model) this.cost = 0;
    // A single picture is the first of something new: it may be late.
    if (model.anyRate && wish.playing) this.adapt(late && this.asked.count > 1);
    const fps = this.rate(model);
    const step = 1 / fps;
    if (!wish.playing && this.still) return;
    if (wish.playing && this.ready.length * step >= Math.max(AHEAD * wish.speed, 2 * step)) return;
    let start = this.next;
    if (start === null || late) {
      start = clock.time + (late ? this.latency * wish.speed : 0); // as late as the last answers
      start = model.anyRate ? start : Math.round(start * fps) / fps;
    }
    if (model.seconds !== null && start > model.seconds - step / 2) {
      if (wish.playing && clock.time >= model.seconds - step / 2 && this === main) jump(0);
      return;
    }
    const count = !wish.playing || this.next === null ? 1 : this.ready.length ? MOST : 2;
    this.asked = { model: number, count, at: performance.now() };
    this.open = true;
    this.next = start;
    // What was found in one model is not in another.
    const scene = number === wish.model ? wish.scene : { ...wish.scene, found: null, motionSeed: wish.scene.motionSeed ?? 0 };
    this.socket.send(JSON.stringify({ id: this.epoch, model: number, scene, start, fps, count }));
  }

  async receive(data) {
    const length = new DataView(data).getUint32(0, true);
    const about = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    const pictureOf = (at, size) => createImageBitmap(new Blob([new Uint8Array(data, at, size)], { type: "image/jpeg" }));
    if (about.id !== this.epoch) {
      // Overtaken, and yet newer than what is seen: a slider that is still dragged is seen to act.
      if (about.error || !about.sizes.length || about.id <= this.drawn) return;
      const picture = await pictureOf(4 + length, about.sizes[0]);
      if (about.id > this.drawn) this.draw(picture, about.start, about.id); else picture.close();
      return;
    }
    this.open = false;
    const taken = (performance.now() - this.asked.at) / 1000;
    this.latency = 0.8 * this.latency + 0.2 * taken;
    if (about.error) {
      this.failed = true;
      say(about.error, true, true);
      return;
    }
    if (about.sizes.length > 1) this.cost += 0.2 * (taken / about.sizes.length - this.cost);
    say("", false, true);
    this.still = true;
    this.next = about.start + about.sizes.length / about.fps;
    let at = 4 + length;
    const coming = about.sizes.map((size, i) => {
      at += size;
      return pictureOf(at - size, size).then((picture) => ({ time: about.start + i / about.fps, picture }));
    });
    this.ask();
    for (const one of await Promise.all(coming)) {
      if (about.id === this.epoch) this.ready.push(one); else one.picture.close();
    }
  }

  // Show the latest picture that is due; whether there was one.
  show() {
    let due = null;
    while (this.ready.length && (this.ready[0].time <= clock.time + 1e-6 || (due === null && !wish.playing))) {
      if (due) due.picture.close();
      due = this.ready.shift();
    }
    if (due !== null) this.draw(due.picture, due.time, this.epoch);
    return due !== null;
  }

  draw(picture, time, epoch) {
    if (this.canvas.width !== picture.width) this.canvas.width = picture.width;
    if (this.canvas.height !== picture.height) this.canvas.height = picture.height;
    this.pen.drawImage(picture, 0, 0);
    picture.close();
    this.drawn = epoch;
    this.shown += 1;
    Object.assign(this.canvas.dataset, { time, wish: epoch });
    if (this.after) this.after(this.canvas);
  }
}

const main = new Player($("screen"), () => wish.model);
const beside = new Player($("beside-screen"), () => wish.beside);
const players = [main, beside];

// What went wrong with frames is taken back by the next ones; all else stays until something else is said.
let passing = true;
function say(text, error = false, passes = false) {
  if (!text && passes && !passing) return;
  passing = passes;
  $("message").textContent = text;
  $("message").classList.toggle("error", error);
}

// Time

let told = 0;

function tick(now) {
  const passed = Math.min((now - clock.last) / 1000, 0.25);
  clock.last = now;
  // Before the first picture the clock waits, so that nothing is skipped at the start of something new.
  if (wish.playing && main.still) clock.time += passed * wish.speed;
  const drawn = players.map((player) => { player.ask(); return player.show(); });
  // With a picture or seldom: a browser that paints without a GPU would paint twice as often.
  if (drawn.includes(true) || now - told > 200) { timeline(); told = now; }
  requestAnimationFrame(tick);
}

function timeline() {
  const model = models[wish.model];
  if (!model) return;
  const line = $("timeline");
  const end = model.seconds ?? Math.max(60, 2 ** Math.ceil(Math.log2(Math.max(1, clock.time + 1))));
  if (Number(line.max) !== end) line.max = end;
  if (document.activeElement !== line || wish.playing) line.value = clock.time;
  if (document.activeElement !== $("time")) $("time").value = clock.time.toFixed(2);
}

function jump(time) {
  clock.time = Math.max(0, time);
  const model = models[wish.model];
  if (model && model.seconds !== null) clock.time = Math.min(clock.time, model.seconds - 1 / model.fps);
  changed();
}

function changed() { players.forEach((player) => { player.forget(); player.ask(); }); }

function play(on) {
  wish.playing = on;
  $("play").textContent = on ? "❚❚" : "▶";
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  players.forEach((player) => { player.still = player.still && !on ? true : player.still; });
}

let counted = 0;
setInterval(() => {
  $("shown").textContent = `${main.shown - counted} pictures a second`;
  counted = main.shown;
}, 1000);

// The x–t slice: the middle row of each picture, under those before.

const slice = $("slice");
main.after = (canvas) => {
  if ($("slice-figure").hidden) return;
  const rows = 144;
  const pen = slice.getContext("2d");
  if (slice.width !== canvas.width || slice.height !== rows) { slice.width = canvas.width; slice.height = rows; }
  pen.drawImage(slice, 0, 1, slice.width, rows - 1, 0, 0, slice.width, rows - 1);
  pen.drawImage(canvas, 0, canvas.height >> 1, canvas.width, 1, 0, rows - 1, canvas.width, 1);
};

// Controls

const whole = (input) => Math.min(Math.max(0, Math.round(Number(input.value) || 0)), 2147483647);
const anySeed = () => Math.floor(Math.random() * 1e6);

function on(id, kind, action) { $(id).addEventListener(kind, action); }

function tell(input, text) {
  const output = document.querySelector(`output[for="${input.id}"]`);
  if (output) output.textContent = text;
}

function mix() {
  const [first, last] = [$("mix-first"), $("mix-last")];
  tell(first, first.value);
  tell(last, last.value);
  const amount = Number($("mix-amount").value);
  tell($("mix-amount"), amount.toFixed(2));
  const both = [Number(first.value), Number(last.value)].sort((a, b) => a - b);
  wish.scene.mix = $("mix").checked ? { seed: whole($("mix-seed")), first: both[0], last: both[1], amount } : null;
  changed();
}

function content(seed) {
  wish.scene.seed = seed;
  if (whole($("seed")) !== seed) $("seed").value = seed;
  choose(null);
}

function motion(seed) {
  wish.scene.motionSeed = seed;
  $("own-motion").checked = false;
  if (whole($("motion-seed")) !== seed) $("motion-seed").value = seed;
  changed();
}

// What was found is shown as it was found: the edits that led to it are in it.
function asItIs() {
  const sliders = [...$("directions").querySelectorAll("input")].map((slider) => [slider.id, 0]);
  for (const [id, value] of [["psi", 1], ["rows", 1], ["columns", 1], ["class", ""], ...sliders]) {
    $(id).value = value;
    for (const kind of ["input", "change"]) $(id).dispatchEvent(new Event(kind));
  }
  $("mix").checked = false;
  mix();
}

// As the content: what a search found (its number), or the seed's (null)
function choose(found) {
  if (found !== wish.scene.found) {
    wish.scene.found = found;
    $("found").value = found ?? "";
    $("own-motion-row").hidden = found === null;
    $("own-motion").checked = found !== null;
    wish.scene.motionSeed = found === null ? whole($("motion-seed")) : null;
    $("grid-group").hidden = found !== null;
  }
  if (found !== null) asItIs();
  changed();
}

function shuffle() {
  if (!$("lock-content").checked) content(anySeed());
  if (!$("lock-motion").checked) motion(anySeed());
}

on("shuffle", "click", shuffle);
on("seed", "input", () => content(whole($("seed"))));
on("motion-seed", "input", () => motion(whole($("motion-seed"))));
on("found", "change", () => choose($("found").value === "" ? null : Number($("found").value)));
on("own-motion", "input", () => {
  wish.scene.motionSeed = $("own-motion").checked ? null : whole($("motion-seed"));
  changed();
});
on("shuffle-content", "click", () => content(anySeed()));
on("shuffle-motion", "click", () => motion(anySeed()));
on("psi", "input", () => {
  wish.scene.psi = Number($("psi").value);
  tell($("psi"), wish.scene.psi.toFixed(2));
  changed();
});
on("class", "change", () => { wish.scene.label = $("class").value === "" ? null : Number($("class").value); changed(); });
for (const id of ["mix", "mix-amount", "mix-seed", "mix-first", "mix-last"]) on(id, "input", mix);
on("mix-all", "click", () => {
  $("mix-first").value = 0;
  $("mix-last").value = $("mix-last").max;
  $("mix").checked = true;
  mix();
});
on("shuffle-mix", "click", () => { $("mix-seed").value = anySeed(); $("mix").checked = true; mix(); });
function grid() {
  for (const id of ["rows", "columns"]) tell($(id), $(id).value);
  wish.scene.grid = [Number($("rows").value), Number($("columns").value)];
  changed();
}
on("rows", "input", grid);
on("columns", "input", grid);
on("play", "click", () => play(!wish.playing));
on("timeline", "input", () => jump(Number($("timeline").value)));
on("time", "change", () => jump(Number($("time").value) || 0));
on("speed", "input", () => {
  wish.speed = 2 ** Number($("speed").value);
  tell($("speed"), `${Number(wish.speed.toPrecision(2))}×`);
  changed();
});
on("rate", "input", () => { wish.rate = Number($("rate").value); tell($("rate"), wish.rate); changed(); });
on("show-slice", "input", () => { $("slice-figure").hidden = !$("show-slice").checked; });
on("model", "change", () => { wish.model = Number($("model").value); open(); });
on("beside", "change", () => {
  wish.beside = $("beside").value === "" ? null : Number($("beside").value);
  $("beside-figure").hidden = wish.beside === null;
  changed();
  beside.drawn = beside.epoch;
});
on("reset", "click", () => { Object.assign(wish, { speed: 1 }); open(); });
on("keys", "click", () => $("help").showModal());

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
  localStorage.setItem("theme", name);
}
on("theme", "click", () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
theme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));

on("find-directions", "click", async () => {
  const button = $("find-directions");
  button.disabled = true;
  button.textContent = "Looking …";
  const number = wish.model;
  let found = [];
  try {
    const answer = await fetch(`api/models/${number}/directions`);
    found = await answer.json();
    if (!answer.ok) throw new Error(found.error ?? `The studio answered ${answer.status}.`);
  } catch (error) {
    say(error.message, true);
    found = [];
  }
  button.disabled = false;
  button.textContent = "Find directions";
  if (number !== wish.model || !found.length) return;
  button.hidden = true;
  $("directions").replaceChildren(...found.map((name) => {
    const [row, input, output] = ["label", "input", "output"].map((tag) => document.createElement(tag));
    Object.assign(input, { type: "range", min: -4, max: 4, step: 0.1, value: 0, id: `direction-${name.replace(" ", "-")}` });
    output.htmlFor = input.id;
    output.textContent = "0.0";
    row.append(name, input, output);
    input.addEventListener("input", () => {
      wish.scene.moved[name] = Number(input.value);
      output.textContent = Number(input.value).toFixed(1);
      changed();
    });
    return row;
  }));
});

// The training of a run: its last numbers every few seconds, its pictures when asked for

async function training() {
  const model = models[wish.model];
  if (!model?.training) return;
  const number = wish.model;
  try {
    const { snapshots, last } = await (await fetch(`api/models/${number}/training`)).json();
    if (number !== wish.model) return;
    const p = last?.augment_p === undefined ? "" : `, augmentation ${last.augment_p.toFixed(2)}`;
    $("training").textContent = last
      ? `${last.clips_seen.toLocaleString("en")} clips, ${last.clips_per_second.toFixed(1)} a second${p}` : "Just begun.";
    $("snapshot").max = Math.max(0, snapshots - 1);
    $("snapshot").dataset.count = snapshots;
  } catch { /* the players say that the studio is gone */ }
}
setInterval(training, 3000);

function snapshot() {
  const count = Number($("snapshot").dataset.count);
  tell($("snapshot"), count ? `${Number($("snapshot").value) + 1} of ${count}` : "none yet");
  if (count) $("snapshot-picture").src = `api/models/${wish.model}/snapshots/${$("snapshot").value}`;
}
on("snapshot", "input", snapshot);
on("show-training", "click", async () => {
  await training();
  $("curves").src = `api/models/${wish.model}/curves?${Date.now()}`;
  $("snapshot").value = $("snapshot").max;
  snapshot();
  $("training-dialog").showModal();
});

// Searches: for a text, or for an uploaded clip

const MOST_UPLOADED = 2 ** 28;
let jobs = [];
const mine = new Set(); // begun on this page, and shown as soon as they are done

async function search(button, path, options) {
  button.disabled = true;
  try {
    const answer = await fetch(path, { method: "POST", ...options });
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error ?? `The studio answered ${answer.status}.`);
    mine.add(told.number);
    say("");
  } catch (error) { say(error.message, true); }
  button.disabled = false;
  await look();
}

function byText() {
  const body = JSON.stringify({ scene: wish.scene, text: $("text").value, steps: Number($("steps").value) });
  const headers = { "Content-Type": "application/json" };
  return search($("by-text"), `api/models/${wish.model}/text`, { headers, body });
}

on("by-text", "click", byText);
on("text", "keydown", (event) => { if (event.key === "Enter") byText(); });
on("in-clip", "click", () => {
  const file = $("clip").files[0];
  if (!file) return say("Choose a video file first.", true);
  if (file.size > MOST_UPLOADED) return say(`${file.name} is larger than ${MOST_UPLOADED / 2 ** 20} MB: cut a part out of it.`, true);
  const [start, seconds] = [$("clip-start").value, $("clip-seconds").value];
  const asked = new URLSearchParams({ name: file.name, start, seconds, steps: $("steps").value });
  return search($("in-clip"), `api/models/${wish.model}/clip?${asked}`, { body: file });
});

async function look() {
  try { jobs = await (await fetch("api/jobs")).json(); } catch { return; /* the players say that the studio is gone */ }
  jobs.forEach(tellJob);
  for (const card of [...$("jobs").children]) if (!jobs.some((job) => card.id === `job-${job.number}`)) card.remove();
  offerFound();
  for (const job of jobs) {
    if (job.state === "running" || !mine.delete(job.number)) continue;
    if (job.state === "done" && job.model === wish.model) show(job);
  }
}

(async function keepLooking() {
  await look();
  setTimeout(keepLooking, jobs.some((job) => job.state === "running") ? 500 : 3000);
})();

function show(job) {
  choose(job.number);
  if (job.kind === "clip") jump(0);
}

function tellJob(job) {
  let card = $(`job-${job.number}`);
  if (!card) {
    card = $("job").content.firstElementChild.cloneNode(true);
    card.id = `job-${job.number}`;
    const actions = {
      cancel: () => fetch(`api/jobs/${job.number}/cancel`, { method: "POST", body: "" }).then(look),
      stop: () => fetch(`api/jobs/${job.number}/stop`, { method: "POST", body: "" }).then(look),
      show: () => show(job),
      compare: () => { $("comparison").src = `api/jobs/${job.number}/comparison.mp4`; $("comparison-dialog").showModal(); $("comparison").play(); },
    };
    for (const [name, action] of Object.entries(actions)) card.querySelector(`[data-do=${name}]`).addEventListener("click", action);
    Object.assign(card.querySelector("[data-do=keep]"), { href: `api/jobs/${job.number}/latents.safetensors`, download: `found-${job.number}.safetensors` });
    $("jobs").prepend(card);
  }
  card.querySelector(".job-name").textContent = foundName(job);
  card.hidden = job.model !== wish.model || job.state === "cancelled";
  const done = { running: `${job.doing}${job.left && `, ${job.left} left`}`, failed: job.error, done: "found", cancelled: "" };
  const told = card.querySelector(".job-told");
  if (told.textContent !== done[job.state]) told.textContent = done[job.state];
  told.classList.toggle("error", job.state === "failed");
  card.querySelector("progress").value = job.share;
  card.querySelector("progress").hidden = job.state !== "running";
  const fitting = { cancel: "running", stop: "running", show: "done", compare: "done", keep: "done" };
  for (const [name, state] of Object.entries(fitting)) card.querySelector(`[data-do=${name}]`).hidden = job.state !== state;
  if (job.doing !== "projecting") card.querySelector("[data-do=stop]").hidden = true;
}

function foundName(job) { return job.kind === "text" ? `“${job.name}”` : `the clip ${job.name}`; }

// The contents to choose from: the seed's, and what was found in this model
function offerFound() {
  const found = jobs.filter((job) => job.state === "done" && job.model === wish.model);
  $("found-row").hidden = !found.length;
  if ($("found").options.length !== found.length + 1 || $("found").dataset.model !== String(wish.model)) {
    $("found").replaceChildren(new Option("the seed", ""), ...found.map((job) => new Option(foundName(job), job.number)));
    $("found").value = wish.scene.found ?? "";
    $("found").dataset.model = wish.model;
  }
}

on("comparison-dialog", "close", () => $("comparison").pause());

// Taking it with you

const wanted = () => ({
  model: wish.model, scene: wish.scene, start: clock.time, seconds: Number($("export-seconds").value),
  rate: wish.rate, speed: wish.speed, format: $("export-format").value,
});

async function post(path) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wanted()) });
  if (!answer.ok) throw new Error((await answer.json()).error ?? `The studio answered ${answer.status}.`);
  return answer;
}

on("export", "click", async () => {
  const button = $("export");
  button.disabled = true;
  button.textContent = "Saving …";
  try {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await (await post("api/export")).blob());
    link.download = `${wish.scene.found === null ? `seed${wish.scene.seed}` : `found${wish.scene.found}`}.${$("export-format").value}`;
    link.click();
    URL.revokeObjectURL(link.href);
  } catch (error) { say(error.message, true); }
  button.disabled = false;
  button.textContent = "Save video";
});

on("show-command", "click", async () => {
  try {
    $("command").textContent = (await (await post("api/command")).json()).command;
    $("command").hidden = false;
  } catch (error) { say(error.message, true); }
});

// Keys

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), select, dialog *");
  if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
  const keys = {
    " ": () => play(!wish.playing),
    ArrowLeft: () => jump(clock.time - (event.shiftKey ? 10 : 1)),
    ArrowRight: () => jump(clock.time + (event.shiftKey ? 10 : 1)),
    c: () => content(anySeed()),
    m: () => motion(anySeed()),
    s: shuffle,
    0: () => jump(0),
    x: () => { $("show-slice").checked = !$("show-slice").checked; $("slice-figure").hidden = !$("show-slice").checked; },
    "?": () => $("help").showModal(),
  };
  const action = keys[event.key];
  if (!action || (event.key === " " && event.target.matches("button, [type=checkbox]"))) return;
  event.preventDefault();
  action();
});

// The beginning: which models there are, and controls that fit the chosen one.

function open() {
  const model = models[wish.model];
  wish.scene = fresh();
  clock.time = 0;
  for (const id of ["seed", "motion-seed"]) $(id).value = 0;
  for (const [id, value] of [["psi", 1], ["speed", 0], ["rate", Math.round(model.fps)]]) {
    $(id).value = value;
    $(id).dispatchEvent(new Event("input"));
  }
  $("mix").checked = false;
  $("own-motion-row").hidden = true;
  $("grid-group").hidden = false;
  $("found").value = "";
  jobs.forEach(tellJob);
  offerFound();
  for (const id of ["rows", "columns"]) { $(id).value = 1; tell($(id), 1); }
  $("mix-amount").value = 1;
  for (const id of ["mix-first", "mix-last"]) $(id).max = Math.max(0, model.layers - 1);
  mix();
  $("class").replaceChildren(new Option("the seed's own", ""), ...model.classes.map((name, i) => new Option(name, i)));
  $("class-row").hidden = !model.classes.length;
  $("psi-row").hidden = !model.truncates;
  $("motion-group").hidden = $("rows-row").hidden = !model.motionSeeds;
  $("training-group").hidden = !model.training;
  training();
  for (const id of ["mix-group", "directions-group", "search-group"]) $(id).hidden = !model.layers;
  $("clip-group").hidden = model.still;
  $("rate").disabled = $("speed").disabled = !model.anyRate;
  $("directions").replaceChildren();
  $("find-directions").hidden = false;
  $("command").hidden = true;
  document.title = `${model.name} – styleganv studio`;
  changed();
  main.drawn = main.epoch; // no picture of the model before
}

async function begin() {
  try {
    models = await (await fetch("api/models")).json();
  } catch {
    say("The studio cannot be reached. Is it still running?", true);
    return;
  }
  $("model").replaceChildren(...models.map((model, i) => new Option(`${model.name} (${model.kind}, ${model.width}×${model.height})`, i)));
  $("beside").append(...models.map((model, i) => new Option(model.name, i)));
  open();
  players.forEach((player) => player.connect());
  requestAnimationFrame(tick);
}

begin();
