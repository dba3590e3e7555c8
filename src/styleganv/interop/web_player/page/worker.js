/**
 * Computes frames in a worker, so that the page never waits.
 *
 * page → worker: {epoch, view, times, refreshes}: frames of `view` at `times` (in frames of the model); what has an older epoch is
 * dropped. worker → page: {ready}, {progress}, {epoch, times, pixels, milliseconds}, {epoch, error} or {device}.
 */

import { labelFromSeed, parseLabel } from "./labels.js";
import { CONTENT, MOTION, normal } from "./noise.js";
import { loadGpuSynthesis, loadPrograms } from "./runtime.js";

/** A CPU that is slower, in milliseconds per frame, is replaced by a GPU if there is one; known after so many runs. */
const SLOW = 1000 / 30, MIN_MEASURED = 8;
/** Times are rounded to this part of a frame, as in styleganv. */
const TICKS = 2 ** 20;
const MAX_CACHED = 4096;
/** Largest accepted difference of frames in −1 … 1 between GPU and CPU; a level is 0.008. */
const MAX_GPU_ERROR = 0.02;

let model, programs;
/** Synthesis on the CPU, and where it runs now. */
let cpu, synthesis;
let latest = 0;
const requests = [], measured = [];
const styles = { key: null, value: null };
const slots = new Map();
const device = new URLSearchParams(self.location.search).get("device");

async function load() {
  model = await (await fetch(new URL("model/model.json", import.meta.url))).json();
  const received = new Map();
  const report = (path, bytes, total) => {
    received.set(path, { bytes, total });
    const sum = (key) => [...received.values()].reduce((all, each) => all + each[key], 0);
    postMessage({ progress: Math.min(1, sum("bytes") / sum("total")) });
  };
  programs = await loadPrograms(["mapping", ...(model.motion ? ["motion"] : []), "synthesis"], report);
  cpu = synthesis = programs.synthesis;
  postMessage({ ready: true });
}

/** Move synthesis to the GPU if it gives the frames of the CPU, in less than `limit` milliseconds per frame. */
async function useGpu(inputs, limit) {
  const gpu = await loadGpuSynthesis();
  if (!gpu) return;
  try {
    const expected = (await cpu.run(inputs)).data, given = (await gpu.run(inputs)).data; // also compiles
    const error = expected.reduce((largest, value, i) => Math.max(largest, Math.abs(value - given[i])), 0);
    const start = performance.now(), { dims } = await gpu.run(inputs);
    const milliseconds = (performance.now() - start) / dims[1];
    if (error < MAX_GPU_ERROR && milliseconds < limit) synthesis = gpu;
    else console.warn(`The GPU is not used: difference ${error}, ${milliseconds} ms per frame.`);
  } catch (error) {
    console.warn(`The GPU is not used: ${error.message}`);
  }
  postMessage({ device: synthesis === gpu ? "GPU" : "CPU" });
}

/** Return frames. A GPU that fails, as after sleep, is replaced by the CPU. */
async function synthesize(inputs) {
  try {
    return (await synthesis.run(inputs)).data;
  } catch (error) {
    if (synthesis === cpu) throw error;
    console.warn(`The GPU is no longer used: ${error.message}`);
    synthesis = cpu;
    postMessage({ device: "CPU" });
    return (await synthesis.run(inputs)).data;
  }
}

/** Return the label's numbers, or undefined for a model without classes. */
function label(view) {
  if (!model.num_classes) return undefined;
  return parseLabel(view.label ?? labelFromSeed(BigInt(view.content), model.labels), model.labels);
}

/** Return the styles of a view; they only change with content, psi and label. */
async function stylesOf(view) {
  const key = JSON.stringify([view.content, view.psi, view.label]);
  if (styles.key !== key) {
    const z = normal(BigInt(view.content), CONTENT, 0, model.z_dim);
    const { data } = await programs.mapping.run({ z, psi: Float32Array.of(view.psi), label: label(view) });
    Object.assign(styles, { key, value: data });
  }
  return styles.value;
}

/** Return the motion noise of a slot of the time axis. */
function slotNoise(seed, slot) {
  const key = `${seed} ${slot}`;
  if (!slots.has(key)) {
    if (slots.size >= MAX_CACHED) slots.clear();
    slots.set(key, normal(BigInt(seed), MOTION, slot, model.motion.noise_dim));
  }
  return slots.get(key);
}

/** Return the motion codes at times, from the window of slots that they depend on. */
async function codesOf(view, times) {
  const { noise_dim, slot_distance, window_slots } = model.motion;
  const first = Math.floor(times[0] / slot_distance);
  const count = Math.floor(times.at(-1) / slot_distance) - first + window_slots;
  const noise = new Float32Array(count * noise_dim);
  for (let i = 0; i < count; i++) noise.set(slotNoise(view.motion ?? view.content, first + i), i * noise_dim);
  const inputs = { times: Float64Array.from(times), motion_noise: noise, first_slot: BigInt64Array.of(BigInt(first)) };
  return (await programs.motion.run({ ...inputs, label: label(view) })).data;
}

/** Return frames as RGBA, one after the other. */
function toPixels(frames, count) {
  const size = model.height * model.width, pixels = new Uint8ClampedArray(count * size * 4);
  for (let t = 0; t < count; t++) {
    for (let channel = 0; channel < 3; channel++) {
      const source = (3 * t + channel) * size, dest = 4 * t * size + channel;
      for (let i = 0; i < size; i++) pixels[dest + 4 * i] = frames[source + i] * 127.5 + 127.5;
    }
    for (let i = 3; i < 4 * size; i += 4) pixels[4 * t * size + i] = 255;
  }
  return pixels;
}

async function answer({ epoch, view, times, refreshes }) {
  const start = performance.now();
  const rounded = times.map((time) => Math.round(time * TICKS) / TICKS);
  const inputs = { styles: await stylesOf(view), codes: model.motion ? await codesOf(view, rounded) : undefined };
  if (device === "gpu" && !measured.length) await useGpu(inputs, Infinity);
  const pixels = toPixels(await synthesize(inputs), times.length);
  const milliseconds = (performance.now() - start) / times.length;
  postMessage({ epoch, times, pixels, milliseconds, refreshes }, [pixels.buffer]);
  measured.push(milliseconds);
  // The first runs are slower, as the browser still compiles.
  if (!device && measured.length === MIN_MEASURED && Math.min(...measured) > SLOW) {
    await useGpu(inputs, Math.min(...measured));
  }
}

/** Answer requests one by one. Between two of them, messages arrive. */
async function work() {
  await load();
  for (;;) {
    const request = requests.shift();
    try {
      if (request?.epoch === latest) await answer(request);
    } catch (error) {
      postMessage({ epoch: request.epoch, error: error.message });
    }
    await new Promise((resolve) => (request ? setTimeout(resolve) : (wake = resolve)));
  }
}

let wake = () => {};
self.onmessage = ({ data }) => {
  latest = data.epoch;
  requests.push(data);
  wake();
};
work().catch((error) => postMessage({ fatal: error.message }));
