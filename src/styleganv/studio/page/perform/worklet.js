// The audio worklet: analyzes the sound in the audio thread, so that a busy page misses nothing.

import { Analysis } from "./analysis.js";

/** What an AudioWorkletGlobalScope has. @type {any} */
const scope = globalThis;

class Analyzer extends scope.AudioWorkletProcessor {
  analysis = new Analysis(scope.sampleRate);

  constructor() {
    super();
    this.port.onmessage = (/** @type {MessageEvent} */ { data }) => { this.analysis.sensitivity = data.sensitivity; };
  }

  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    const mono = new Float32Array(channels[0]?.length ?? 128); // silence without an input
    channels.forEach((channel) => channel.forEach((sample, i) => { mono[i] += sample / channels.length; }));
    for (const measure of this.analysis.push(mono)) this.port.postMessage(measure);
    return true;
  }
}

scope.registerProcessor("analyzer", Analyzer);
