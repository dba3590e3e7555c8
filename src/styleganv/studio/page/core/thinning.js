// Fewer frames per second, at equal distances, while the model or the browser is too slow for all of them.

const FACTORS = [1, 1.25, 1.5, 2, 2.5, 3, 4, 6, 8, 12]; // of the distance between frames
const [MIN_PATIENCE, MAX_PATIENCE] = [1, 8]; // seconds between changes
const MARGIN = 1.1;

export class Thinning {
  index = 0; // in FACTORS
  changedAt = 0; // in seconds
  patience = MIN_PATIENCE;
  secondsPerFrame = 0; // running mean

  get factor() { return FACTORS[this.index]; }

  /** Take a frame's measured time into account. @param {number} seconds */
  measure(seconds) { this.secondsPerFrame += 0.2 * (seconds - this.secondsPerFrame); }

  /** Return the first factor that there is time for. @param {number} fps frames per second wanted */
  affordable(fps) {
    const index = FACTORS.findIndex((factor) => factor >= MARGIN * this.secondsPerFrame * fps);
    return index < 0 ? FACTORS.length - 1 : index;
  }

  /** Choose freely: the start of a new video has no spacing to keep. @param {number} fps */
  restart(fps) {
    this.index = this.affordable(fps);
    this.changedAt = performance.now() / 1000;
  }

  /** Thin out while frames are late, and less when there is time: one step at a time, and more slowly the more often a
   * step was too large. @param {number} fps @param {boolean} isLate */
  adapt(fps, isLate) {
    const [now, affordable] = [performance.now() / 1000, this.affordable(fps)];
    const elapsed = now - this.changedAt;
    if (isLate && (elapsed > MIN_PATIENCE || affordable > this.index)) {
      this.index = Math.min(Math.max(this.index + 1, affordable), FACTORS.length - 1);
      this.patience = Math.min(2 * this.patience, MAX_PATIENCE);
    } else if (!isLate && elapsed > this.patience && affordable < this.index) {
      this.index -= 1;
      this.patience = Math.max(this.patience / 2, MIN_PATIENCE);
    } else return;
    this.changedAt = now;
  }
}
