// A player requests frames of one video over a WebSocket and draws each on its canvas when it is due.
//
// It requests a few frames at a time, ahead of the clock. When the video changes, it drops its frames and sends a new
// request at once, which cancels the open one. If the browser or the model is too slow, it requests fewer frames per
// second (if the model supports any frame rate) and skips late ones, so nothing queues up.
//
// Every request carries a revision. Older responses of the same source and connection are drawn while the newest is under
// way, so that a slider has an effect while it moves.

import { clock } from "./clock.js";
import { frameRequest, unpackFrames } from "./protocol.js";
import { signal } from "./ui.js";
import { findSource, isGliding, transport } from "./state.js";
import { lastStart, rate } from "./timeline.js";
import { Thinning } from "./thinning.js";

/** @typedef {{ phase: "empty" | "stale" | "current", text: string, isError: boolean }} Status what a stage says of its
 *   picture: none, that of earlier settings, or that of the present ones */

const BUFFER_SECONDS = 0.35;
const MAX_FRAMES = 4; // per request: a moved slider waits for the end of one
const MAX_GLIDING = 2; // while the content moves by itself, it is the same in all frames of a request
const [STALE_MS, STEERED_STALE_MS] = [300, 3000]; // after which a picture of earlier settings is shown as such

export class Player {
  /** @type {{ time: number, image: ImageBitmap }[]} */
  frames = []; // decoded and not yet drawn
  revision = 0; // of the settings; requests and responses carry it
  firstRevision = 0; // of the present source and connection
  drawnRevision = 0;
  numDrawn = 0;
  isWaiting = false; // for the response to `lastRequest`
  hasFailed = false;
  hasFrames = false;
  /** @type {number | null} */
  nextStart = null;
  lastRequest = { model: "", numFrames: 0, sentAt: 0 };
  latency = 0.05; // running mean, in seconds
  thinning = new Thinning();
  staleSince = 0;
  /** @type {WebSocket | null} */
  socket = null;
  /** @type {HTMLCanvasElement | null} */
  canvas = null; // set by the stage
  /** Called after each frame. @type {Set<(canvas: HTMLCanvasElement) => void>} */
  frameListeners = new Set();
  /** Width and height of the latest frame in pixels. */
  size = signal([1, 1]);
  status = signal(/** @type {Status} */ ({ phase: "empty", text: "Connecting…", isError: false }));

  /** @param {() => import("./timeline.js").Video | null} getView what to play, or null
   * @param {{ onReset: () => void, onAnswer?: (error: string) => void, onEnd?: () => void }} actions after each reset, each
   *   response to the present settings, and the end of a finite video */
  constructor(getView, { onReset, onAnswer = () => {}, onEnd = () => {} }) {
    this.getView = getView;
    this.onReset = onReset;
    this.onAnswer = onAnswer;
    this.onEnd = onEnd;
  }

  /** @param {Status["phase"]} phase */
  setStatus(phase, text = "", isError = false) {
    const now = this.status.peek();
    if (now.phase !== phase || now.text !== text || now.isError !== isError) this.status.value = { phase, text, isError };
  }

  /** Phase of a picture of earlier settings. */
  get stalePhase() { return /** @type {"stale" | "empty"} */ (this.drawnRevision >= this.firstRevision ? "stale" : "empty"); }

  /** Drop everything that belongs to earlier settings; for another source or connection, the picture, too. */
  reset(isNewSource = false) {
    this.revision += 1;
    if (isNewSource) {
      this.firstRevision = this.revision;
      this.canvas?.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
      const name = this.getView()?.model;
      const { text, isError } = this.status.peek();
      this.setStatus("empty", !this.socket ? text : name ? `Loading ${name}…` : "", !this.socket && isError);
    }
    this.frames.forEach((frame) => frame.image.close());
    Object.assign(this, { frames: [], nextStart: null, isWaiting: false, hasFailed: false, hasFrames: false });
    this.staleSince = performance.now();
    this.onReset();
  }

  /** @param {string} text */
  fail(text) {
    this.hasFailed = true;
    this.setStatus(this.stalePhase, text, true);
    this.onAnswer(text);
  }

  /** Frames per second of the video, not of the screen. @param {import("./state.js").Source} source */
  fps(source) {
    return source.supports_any_fps ? transport.fps.peek() / rate.peek() / this.thinning.factor : source.fps;
  }

  /** Send the next request, unless one is open or the buffer is full. */
  requestFrames() {
    const view = this.getView();
    const source = view && findSource(view.model);
    if (!this.socket || this.isWaiting || this.hasFailed || !view) return;
    if (!source) return this.fail(`${view.model} is not open in this studio: select another model.`);
    const [isPlaying, speed] = [transport.isPlaying.peek(), rate.peek()];
    const isLate = isPlaying && this.nextStart !== null && this.nextStart < clock.time - 1 / this.fps(source);
    if (view.model !== this.lastRequest.model) this.thinning.secondsPerFrame = 0;
    // The first frame of a new video may be late.
    if (source.supports_any_fps && isPlaying) {
      const { fps } = transport;
      if (this.nextStart === null) this.thinning.restart(fps.peek());
      else this.thinning.adapt(fps.peek(), isLate && this.lastRequest.numFrames > 1);
    }
    const fps = this.fps(source);
    if ((!isPlaying || clock.isSteered) && this.hasFrames) return;
    if (isPlaying && this.frames.length / fps >= Math.max(BUFFER_SECONDS * speed, 2 / fps)) return;
    const start = this.nextTime(source, fps, isLate);
    const end = lastStart(view, source, fps);
    if (start > end) {
      if (isPlaying && clock.time >= end) this.onEnd();
      return;
    }
    const numFrames = !isPlaying || this.nextStart === null ? 1 : this.frames.length && !isGliding.peek() ? MAX_FRAMES : MAX_GLIDING;
    try {
      this.socket.send(frameRequest(view, { id: this.revision, start, fps, numFrames }));
    } catch (error) {
      return this.fail(/** @type {Error} */ (error).message);
    }
    Object.assign(this, { isWaiting: true, nextStart: start });
    this.lastRequest = { model: view.model, numFrames, sentAt: performance.now() };
  }

  /** @param {import("./state.js").Source} source @param {number} fps @param {boolean} isLate */
  nextTime(source, fps, isLate) {
    if (this.nextStart !== null && !isLate) return this.nextStart;
    const time = clock.time + (isLate ? this.latency * rate.peek() : 0);
    return source.supports_any_fps ? time : Math.round(time * fps) / fps;
  }

  /** @param {ArrayBuffer} data */
  async receive(data) {
    const { header, images } = unpackFrames(data);
    if (header.id !== this.revision) return this.drawOutdated(header, images);
    this.isWaiting = false;
    const seconds = (performance.now() - this.lastRequest.sentAt) / 1000;
    this.latency = 0.8 * this.latency + 0.2 * seconds;
    if (header.error) return this.fail(header.error);
    if (images.length > 1) this.thinning.measure(seconds / images.length);
    this.onAnswer("");
    this.hasFrames = true;
    this.nextStart = header.start + images.length / header.fps;
    const decoded = images.map((/** @type {Blob} */ image) => createImageBitmap(image));
    this.requestFrames();
    for (const [i, image] of (await Promise.all(decoded)).entries()) {
      if (header.id === this.revision) this.frames.push({ time: header.start + i / header.fps, image }); else image.close();
    }
  }

  /** @param {any} header @param {Blob[]} images */
  async drawOutdated(header, images) {
    const isNewer = () => header.id > this.drawnRevision && header.id >= this.firstRevision;
    if (header.error || !images.length || !isNewer()) return;
    const image = await createImageBitmap(images[0]);
    if (isNewer()) this.draw(image, header.start, header.id); else image.close();
  }

  /** Draw the latest frame that is due; while paused, only the first one of new settings. Return whether there is one. */
  drawDue() {
    const isNew = !transport.isPlaying.peek() && this.drawnRevision !== this.revision;
    let due = null;
    while (this.frames.length && (this.frames[0].time <= clock.time + 1e-6 || (due === null && isNew))) {
      due?.image.close();
      due = /** @type {{ time: number, image: ImageBitmap }} */ (this.frames.shift());
    }
    if (due !== null) this.draw(due.image, due.time, this.revision);
    else if (this.drawnRevision < this.revision && this.status.peek().phase === "current" && this.socket
      && performance.now() - this.staleSince > (clock.isSteered ? STEERED_STALE_MS : STALE_MS)) this.setStatus("stale", "Updating…");
    return due !== null;
  }

  /** @param {ImageBitmap} image @param {number} time @param {number} revision */
  draw(image, time, revision) {
    const { canvas } = this;
    this.drawnRevision = revision;
    this.numDrawn += 1;
    if (canvas) {
      if (canvas.width !== image.width) canvas.width = image.width;
      if (canvas.height !== image.height) canvas.height = image.height;
      canvas.getContext("2d")?.drawImage(image, 0, 0);
      Object.assign(canvas.dataset, { time, epoch: revision });
      const [width, height] = this.size.peek();
      if (width !== image.width || height !== image.height) this.size.value = [image.width, image.height];
      this.frameListeners.forEach((listener) => listener(canvas));
    }
    image.close();
    this.staleSince = performance.now();
    if (revision === this.revision) this.setStatus("current");
  }
}
