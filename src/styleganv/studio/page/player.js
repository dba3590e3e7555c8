// A player requests frames of one model over a WebSocket and draws each when it is due.
//
// It requests a few frames at a time, ahead of the clock. When the state changes, it drops its frames and sends a new
// request at once, which cancels the open one. If the browser or the model is too slow, it requests fewer frames per
// second (if the model supports any frame rate) and skips late ones, so nothing queues up.

import { clearPlayerError, showPlayerError } from "./dom.js";
import { clock, models, notation, state } from "./state.js";

const BUFFER_SECONDS = 0.35;
const MAX_FRAMES = 4; // per request: a moved slider waits for the end of one
const THINNING = [1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8, 12]; // factors of the distance between frames
const [MIN_PATIENCE, MAX_PATIENCE] = [1, 8]; // seconds between changes of the thinning
const RECONNECT_MS = 1000;

const decode = (data, offset, size, type) =>
  createImageBitmap(new Blob([new Uint8Array(data, offset, size)], { type }));

export class Player {
  frames = []; // decoded and not yet drawn
  epoch = 0; // version of the state; requests and responses carry it
  drawnEpoch = 0;
  numDrawn = 0;
  isWaiting = false; // for the response to `lastRequest`
  lastRequest = { model: null, numFrames: 0, sentAt: 0 };
  latency = 0.05; // running mean, in seconds
  secondsPerFrame = 0; // running mean over responses with several frames
  thinning = 0; // index in THINNING
  thinnedAt = 0;
  patience = MIN_PATIENCE;

  // getModel returns the number of the model to play, or null. onFrame receives the canvas after each frame, and onEnd
  // is called at the end of a finite video.
  constructor(canvas, getModel, { onFrame = () => {}, onEnd = () => {} } = {}) {
    Object.assign(this, { canvas, getModel, onFrame, onEnd, context: canvas.getContext("2d") });
  }

  connect() {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/frames`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => { this.socket = socket; this.reset(); };
    socket.onmessage = (event) => this.receive(event.data);
    socket.onclose = () => {
      this.socket = null;
      showPlayerError("Cannot reach the studio: check that it is running. Reconnecting…");
      setTimeout(() => this.connect(), RECONNECT_MS);
    };
  }

  // Drop everything that belongs to the previous state.
  reset() {
    this.epoch += 1;
    this.frames.forEach((frame) => frame.image.close());
    Object.assign(this, { frames: [], nextStart: null, isWaiting: false, hasFailed: false, hasFrames: false });
  }

  // Frames per second of the video, not of the screen.
  fps(model) { return model.supports_any_fps ? state.fps / state.speed / THINNING[this.thinning] : model.fps; }

  // Request fewer frames per second while they are late, and more when there is time: one step at a time, and more
  // slowly the more often a step was too large. The start of a new video has no spacing to keep.
  adaptThinning(isLate) {
    const now = performance.now() / 1000;
    const elapsed = now - this.thinnedAt;
    const last = THINNING.length - 1;
    const index = THINNING.findIndex((factor) => factor >= 1.1 * this.secondsPerFrame * state.fps);
    const affordable = index < 0 ? last : index;
    if (this.nextStart === null) this.thinning = affordable;
    else if (isLate && (elapsed > MIN_PATIENCE || affordable > this.thinning)) {
      this.thinning = Math.min(Math.max(this.thinning + 1, affordable), last);
      this.patience = Math.min(2 * this.patience, MAX_PATIENCE);
    } else if (!isLate && elapsed > this.patience && affordable < this.thinning) {
      this.thinning -= 1;
      this.patience = Math.max(this.patience / 2, MIN_PATIENCE);
    } else return;
    this.thinnedAt = now;
  }

  // Send the next request, unless one is open or the buffer is full.
  requestFrames() {
    const number = this.getModel();
    const model = models[number];
    if (!this.socket || this.isWaiting || this.hasFailed || !model) return;
    const isLate = state.isPlaying && this.nextStart !== null && this.nextStart < clock.time - 1 / this.fps(model);
    if (number !== this.lastRequest.model) this.secondsPerFrame = 0;
    // The first frame of a new video may be late.
    if (model.supports_any_fps && state.isPlaying) this.adaptThinning(isLate && this.lastRequest.numFrames > 1);
    const fps = this.fps(model);
    if (!state.isPlaying && this.hasFrames) return;
    if (state.isPlaying && this.frames.length / fps >= Math.max(BUFFER_SECONDS * state.speed, 2 / fps)) return;
    const start = this.nextTime(model, fps, isLate);
    const end = (model.max_seconds ?? Infinity) - 0.5 / fps;
    if (start > end) {
      if (state.isPlaying && clock.time >= end) this.onEnd();
      return;
    }
    const numFrames = !state.isPlaying || this.nextStart === null ? 1 : this.frames.length ? MAX_FRAMES : 2;
    Object.assign(this, { isWaiting: true, nextStart: start });
    this.lastRequest = { model: number, numFrames, sentAt: performance.now() };
    const request = { id: this.epoch, model: number, params: notation(), start, fps, num_frames: numFrames };
    if (number !== state.model) { // A search result exists in one model only.
      request.params = { ...notation(), content: state.params.seed, motion: state.params.motion_seed ?? 0 };
    }
    this.socket.send(JSON.stringify(request));
  }

  nextTime(model, fps, isLate) {
    if (this.nextStart !== null && !isLate) return this.nextStart;
    const time = clock.time + (isLate ? this.latency * state.speed : 0);
    return model.supports_any_fps ? time : Math.round(time * fps) / fps;
  }

  async receive(data) {
    const length = new DataView(data).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    if (header.id !== this.epoch) return this.drawOutdated(header, data, 4 + length);
    this.isWaiting = false;
    const seconds = (performance.now() - this.lastRequest.sentAt) / 1000;
    this.latency = 0.8 * this.latency + 0.2 * seconds;
    if (header.error) {
      this.hasFailed = true;
      showPlayerError(header.error);
      return;
    }
    const { sizes, start, fps, type } = header;
    if (sizes.length > 1) this.secondsPerFrame += 0.2 * (seconds / sizes.length - this.secondsPerFrame);
    clearPlayerError();
    this.hasFrames = true;
    this.nextStart = start + sizes.length / fps;
    let offset = 4 + length;
    const images = sizes.map((size) => decode(data, (offset += size) - size, size, type));
    this.requestFrames();
    for (const [i, image] of (await Promise.all(images)).entries()) {
      if (header.id === this.epoch) this.frames.push({ time: start + i / fps, image }); else image.close();
    }
  }

  // The response to a canceled request is newer than the frame on screen. So a slider has an effect while it moves.
  async drawOutdated(header, data, offset) {
    if (header.error || !header.sizes.length || header.id <= this.drawnEpoch) return;
    const image = await decode(data, offset, header.sizes[0], header.type);
    if (header.id > this.drawnEpoch) this.draw(image, header.start, header.id); else image.close();
  }

  // Draw the latest frame that is due; while paused, only the first one of a new state. Return whether there is one.
  drawDue() {
    const isNew = !state.isPlaying && this.drawnEpoch !== this.epoch;
    let due = null;
    while (this.frames.length && (this.frames[0].time <= clock.time + 1e-6 || (due === null && isNew))) {
      due?.image.close();
      due = this.frames.shift();
    }
    if (due !== null) this.draw(due.image, due.time, this.epoch);
    return due !== null;
  }

  draw(image, time, epoch) {
    const { canvas } = this;
    if (canvas.width !== image.width) canvas.width = image.width;
    if (canvas.height !== image.height) canvas.height = image.height;
    this.context.drawImage(image, 0, 0);
    image.close();
    this.drawnEpoch = epoch;
    this.numDrawn += 1;
    Object.assign(canvas.dataset, { time, epoch });
    this.onFrame(canvas);
  }
}
