// The recorder: what the stage shows, as a video file, with the audio if it is on. One frame per frame of the stage.

import { players } from "../core/playback.js";
import { isSmooth } from "../core/state.js";

const MAX_SIDE = 4096; // pixels, the limit of encoders
const BITS_PER_PIXEL = 0.25;
const [MIN_BITS, MAX_BITS] = [2e6, 60e6]; // per second
const FLUSH_MS = 300; // in which the latest frames reach the encoder, which drops them when it stops

/** Formats that this browser can record: MIME type, name and suffix of files. */
export const FORMATS = /** @type {const} */ ([
  ["video/mp4;codecs=avc1.640033,mp4a.40.2", "MP4 (H.264)", "mp4"],
  ["video/webm;codecs=vp9,opus", "WebM (VP9)", "webm"],
  ["video/webm;codecs=vp8,opus", "WebM (VP8)", "webm"],
]).filter(([type]) => globalThis.MediaRecorder?.isTypeSupported(type));

/** Return the numbers by which a picture can be enlarged. @param {number} side its longer one, in pixels */
export const scalesFor = (side) => [1, 2, 4, 8, 16].filter((scale) => scale === 1 || side * scale <= MAX_SIDE);

export class Recorder {
  canvas = document.createElement("canvas");
  /** @type {Blob[]} */
  chunks = [];
  numBytes = 0;
  numFrames = 0;
  error = "";
  startedAt = performance.now();

  /** Start. @param {string} type a MIME type of FORMATS @param {number} scale @param {MediaStreamTrack[]} audioTracks */
  constructor(type, scale, audioTracks) {
    const [width, height] = players.a.size.peek();
    // Encoders need even sizes.
    Object.assign(this.canvas, { width: 2 * Math.ceil((width * scale) / 2), height: 2 * Math.ceil((height * scale) / 2) });
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d", { alpha: false }));
    const stream = this.canvas.captureStream(0);
    this.track = /** @type {CanvasCaptureMediaStreamTrack} */ (stream.getVideoTracks()[0]);
    audioTracks.forEach((track) => stream.addTrack(track));
    const bits = this.canvas.width * this.canvas.height * 25 * BITS_PER_PIXEL;
    const options = { mimeType: type, videoBitsPerSecond: Math.min(Math.max(bits, MIN_BITS), MAX_BITS) };
    this.recorder = new MediaRecorder(stream, options);
    this.recorder.ondataavailable = ({ data }) => { this.chunks.push(data); this.numBytes += data.size; };
    this.recorder.onerror = () => { this.error = "The browser cannot encode this: choose another format or a smaller size."; };
    this.draw = this.draw.bind(this);
    this.recorder.start(1000);
    players.a.frameListeners.add(this.draw);
    if (players.a.canvas) this.draw(players.a.canvas);
  }

  get seconds() { return (performance.now() - this.startedAt) / 1000; }

  /** Record a frame; one of another shape is fitted in. @param {HTMLCanvasElement} frame */
  draw(frame) {
    const { context, canvas } = this;
    const scale = Math.min(canvas.width / frame.width, canvas.height / frame.height);
    const [width, height] = [frame.width * scale, frame.height * scale];
    context.imageSmoothingEnabled = isSmooth.peek();
    context.imageSmoothingQuality = "high";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(frame, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
    this.track.requestFrame();
    this.numFrames += 1;
  }

  /** Stop, and return the file. Throws an Error with a sentence for the user. */
  async stop() {
    if (players.a.canvas) this.draw(players.a.canvas); // so that the last frame lasts until now
    players.a.frameListeners.delete(this.draw);
    const hasStopped = new Promise((resolve) => this.recorder.addEventListener("stop", resolve));
    if (this.recorder.state !== "inactive") {
      await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
      this.recorder.stop();
      await hasStopped;
    }
    this.recorder.stream.getTracks().forEach((track) => track.stop());
    if (this.error || !this.numBytes) throw new Error(this.error || "Nothing was recorded: play a video first.");
    return new Blob(this.chunks, { type: this.recorder.mimeType });
  }
}
