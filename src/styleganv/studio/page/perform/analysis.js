// Analysis of sound: level, three bands, and onsets, about every 10 ms. It runs in an audio worklet; see worklet.js.
//
//     const analysis = new Analysis(sampleRate);
//     for (const { time, level, low, mid, high, isOnset } of analysis.push(samples)) …
//
// Onsets are found by spectral flux: the rise of the log magnitudes from one spectrum to the next, averaged over bands of
// a third of an octave. There is an onset where it rises above a threshold that follows its mean, and not within 80 ms of
// another.

const [SIZE, HOP] = [1024, 512]; // samples of a spectrum, and from one to the next
const BANDS = { low: [20, 250], mid: [250, 4000], high: [4000, 16000] }; // Hz
const FLOOR_DB = -60; // is 0, and full scale is 1
const [MEMORY_SECONDS, REFRACTORY_SECONDS] = [1, 0.08];
const [RATIO, OFFSET] = [2, 0.12]; // of the threshold to the mean flux
const COMPRESSION = 100; // of magnitudes, where 1 is that of a full-scale sine

/** @typedef {{ time: number, level: number, low: number, mid: number, high: number, isOnset: boolean }} Measure
 *   time: seconds from the start to the middle of the newest half of the spectrum; levels in 0..1 */

/** Return a power as a level in 0..1. @param {number} power that of a full-scale sine is 1 / 2 */
const toLevel = (power) => Math.min(Math.max(1 - (10 * Math.log10(2 * power + 1e-12)) / FLOOR_DB, 0), 1);

export class Analysis {
  numSamples = 0; // taken so far
  samples = new Float32Array(SIZE); // the latest ones
  numNew = 0; // of them since the last spectrum
  /** Log magnitudes of the last spectrum, by band. @type {number[]} */
  magnitudes = [];
  meanFlux = 0;
  wasAbove = false;
  lastOnset = -1;
  /** Lower thresholds find softer onsets. */
  sensitivity = 1;

  /** @param {number} sampleRate in Hz */
  constructor(sampleRate) {
    this.sampleRate = sampleRate;
    this.window = Float32Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SIZE));
    this.edges = [1]; // first bins of the bands
    while (this.edges[this.edges.length - 1] < SIZE / 2) {
      const edge = this.edges[this.edges.length - 1];
      this.edges.push(Math.min(Math.max(edge + 1, Math.round(edge * 2 ** (1 / 3))), SIZE / 2));
    }
    this.real = new Float32Array(SIZE);
    this.imaginary = new Float32Array(SIZE);
  }

  /** Take samples of one channel, and yield what each complete hop of them is. @param {Float32Array} samples */
  *push(samples) {
    for (let done = 0; done < samples.length;) {
      const part = samples.subarray(done, done + HOP - this.numNew);
      this.samples.copyWithin(0, part.length);
      this.samples.set(part, SIZE - part.length);
      this.numNew += part.length;
      this.numSamples += part.length;
      done += part.length;
      if (this.numNew === HOP) {
        this.numNew = 0;
        yield this.measure();
      }
    }
  }

  /** @returns {Measure} */
  measure() {
    for (let i = 0; i < SIZE; i += 1) this.real[i] = this.samples[i] * this.window[i];
    this.imaginary.fill(0);
    fft(this.real, this.imaginary);
    const time = (this.numSamples - HOP / 2) / this.sampleRate;
    const isOnset = this.findOnset(time);
    const power = this.samples.subarray(SIZE - HOP).reduce((sum, sample) => sum + sample * sample, 0) / HOP;
    const { low, mid, high } = BANDS;
    return { time, level: toLevel(power), low: this.band(low), mid: this.band(mid), high: this.band(high), isOnset };
  }

  /** Return the level of a band. @param {number[]} band its limits in Hz */
  band([from, to]) {
    const bin = (/** @type {number} */ hertz) => Math.min(Math.round((hertz * SIZE) / this.sampleRate), SIZE / 2 - 1);
    let sum = 0;
    for (let i = Math.max(1, bin(from)); i <= bin(to); i += 1) sum += this.real[i] ** 2 + this.imaginary[i] ** 2;
    return toLevel((sum * 16) / (3 * SIZE * SIZE)); // both halves of the spectrum, and the power of the window, 3 / 8
  }

  /** @param {number} time */
  findOnset(time) {
    const magnitudes = this.edges.slice(1).map((end, band) => {
      let power = 0;
      for (let i = this.edges[band]; i < end; i += 1) power += this.real[i] ** 2 + this.imaginary[i] ** 2;
      return Math.log1p((COMPRESSION * 4 * Math.sqrt(power)) / SIZE);
    });
    const rises = magnitudes.map((magnitude, band) => Math.max(0, magnitude - (this.magnitudes[band] ?? 0)));
    const flux = rises.reduce((sum, rise) => sum + rise, 0) / rises.length;
    this.magnitudes = magnitudes;
    const isAbove = flux * this.sensitivity > RATIO * this.meanFlux + OFFSET;
    this.meanFlux += (flux - this.meanFlux) * Math.min(1, HOP / this.sampleRate / MEMORY_SECONDS);
    const isOnset = isAbove && !this.wasAbove && (this.lastOnset < 0 || time - this.lastOnset > REFRACTORY_SECONDS);
    this.wasAbove = isAbove;
    if (isOnset) this.lastOnset = time;
    return isOnset;
  }
}

const COSINES = Float64Array.from({ length: SIZE / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / SIZE));
const SINES = Float64Array.from({ length: SIZE / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / SIZE));

/** Transform in place: radix 2, decimation in time. @param {Float32Array} real @param {Float32Array} imaginary of SIZE */
export function fft(real, imaginary) {
  for (let i = 1, j = 0; i < SIZE; i += 1) {
    let bit = SIZE >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
    if (i < j) {
      const [x, y] = [real[i], imaginary[i]];
      real[i] = real[j]; imaginary[i] = imaginary[j];
      real[j] = x; imaginary[j] = y;
    }
  }
  for (let span = 1; span < SIZE; span *= 2) {
    for (let k = 0; k < span; k += 1) {
      const cos = COSINES[(k * SIZE) / span / 2], sin = SINES[(k * SIZE) / span / 2];
      for (let i = k; i < SIZE; i += 2 * span) {
        const j = i + span;
        const x = real[j] * cos - imaginary[j] * sin, y = real[j] * sin + imaginary[j] * cos;
        real[j] = real[i] - x;
        imaginary[j] = imaginary[i] - y;
        real[i] += x;
        imaginary[i] += y;
      }
    }
  }
}
