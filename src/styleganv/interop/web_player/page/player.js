/**
 * Plays frames of a worker at an even rate: each stays on the screen for the same number of display refreshes.
 *
 * The rate is the highest one, up to 60 per second, at which the worker is not busy all the time. Frames are computed
 * ahead for half a second, so that a short delay does not show.
 */

const AHEAD_SECONDS = 0.5, MAX_RATE = 60;
/** Largest number of frames of a request, and milliseconds that one takes: how long a changed control waits. */
const MAX_CHUNK = 4, CHUNK_TIME = 100;
/** Milliseconds per frame until they are measured. */
const FIRST_COST = 20;
/** Part of the worker's time that a rate may take; at rates that look uneven anyway, almost all. */
const LOAD = 0.5, SLOW_LOAD = 0.85, SLOW_RATE = 24;
/** A display that refreshes less than this often, in milliseconds, was not visible. */
const HIDDEN = 250;

/** Return how many refreshes of `period` milliseconds a frame lasts that takes the worker `cost` milliseconds. */
export function refreshesPerFrame(cost, period) {
  let refreshes = Math.max(1, Math.round(1000 / MAX_RATE / period));
  const isFast = (load) => cost <= load * refreshes * period;
  while (!isFast(1000 / (refreshes * period) > SLOW_RATE ? LOAD : SLOW_LOAD)) refreshes++;
  return refreshes;
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

export class Player {
  /**
   * @param worker of worker.js
   * @param fps frames of the model per second
   * @param show called with (pixels, seconds) to draw a frame
   * @param fail called with a message
   */
  constructor(worker, fps, show, fail) {
    Object.assign(this, { worker, fps, show, fail });
    this.epoch = 0;
    this.queue = [];
    this.requested = 0;
    this.period = 1000 / 60;
    this.periods = [];
    this.costs = [];
    this.frames = 0;
    worker.addEventListener("message", ({ data }) => this.receive(data));
    requestAnimationFrame((now) => this.refresh(now));
  }

  /** Show `view` from `view.t` on; play it unless it is paused or still. */
  start(view, isStill) {
    this.view = view;
    this.isStill = isStill || !view.play || !view.speed;
    this.epoch++;
    this.queue = [];
    this.requested = 0;
    this.next = view.t;
    this.request(1); // a quick first answer to whoever moves a control
  }

  /** Milliseconds that the worker takes per frame. The first request does not count, as the browser still compiles. */
  get cost() {
    return this.costs.length > 1 ? median(this.costs.slice(1)) : FIRST_COST;
  }

  /** Ask for the next `count` frames. */
  request(count) {
    const refreshes = refreshesPerFrame(this.cost, this.period), times = [];
    for (let i = 0; i < count; i++) {
      times.push(this.next * this.fps);
      this.next += (this.view.speed * refreshes * this.period) / 1000;
    }
    this.requested += count;
    this.worker.postMessage({ epoch: this.epoch, view: this.view, times, refreshes });
  }

  receive({ epoch, times, pixels, milliseconds, refreshes, error }) {
    if (epoch !== this.epoch) return;
    if (error) return this.fail(error);
    this.costs = [...this.costs.slice(-5), milliseconds];
    this.requested -= times.length;
    const size = pixels.length / times.length;
    for (const [i, time] of times.entries()) {
      this.queue.push({ seconds: time / this.fps, refreshes, pixels: pixels.subarray(i * size, (i + 1) * size) });
    }
  }

  /** On every refresh of the display: show the frame that is due, and ask for more. */
  refresh(now) {
    requestAnimationFrame((next) => this.refresh(next));
    this.measure(now);
    if (this.queue.length && (this.isStill || this.due === undefined || now > this.due - this.period / 2)) {
      const { pixels, seconds, refreshes } = this.queue.shift();
      const late = this.due === undefined ? Infinity : now - this.due;
      this.due = (late < this.period ? this.due : now) + refreshes * this.period;
      this.frames++;
      this.show(pixels, seconds);
    }
    if (!this.view || this.isStill) return;
    const interval = refreshesPerFrame(this.cost, this.period) * this.period;
    const wanted = Math.max(2, (1000 * AHEAD_SECONDS) / interval);
    const chunk = 2 ** Math.floor(Math.log2(Math.min(MAX_CHUNK, Math.max(1, CHUNK_TIME / this.cost))));
    if (this.requested <= chunk && this.queue.length + this.requested < wanted) this.request(chunk);
  }

  measure(now) {
    const passed = now - (this.last ?? now);
    this.last = now;
    if (passed > HIDDEN) this.due = undefined;
    if (passed <= 0 || passed > HIDDEN) return;
    this.periods = [...this.periods.slice(-59), passed];
    if (this.periods.length >= 30) this.period = median(this.periods);
  }
}
