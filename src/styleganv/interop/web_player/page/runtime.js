/**
 * onnxruntime and the model's programs, on the CPU (WebAssembly) and, for synthesis, on the GPU (WebGPU).
 *
 * The runtime's two builds are loaded from runtime/. Their programs are compressed, because few static servers compress,
 * and GPUs get the larger one only if the CPU turns out to be too slow.
 */

const here = (path) => new URL(path, import.meta.url).href;

/** Options of a program: only errors are logged. */
const options = (provider) => ({ executionProviders: [provider], logSeverityLevel: 3 });

/** Return the content of a file. `report` is called with the bytes received so far, and those of the whole file. */
async function download(path, report) {
  const response = await fetch(here(path));
  if (!response.ok) throw new Error(`Cannot load ${path} (HTTP ${response.status}): copy the whole folder to the server.`);
  const total = Number(response.headers.get("Content-Length")) || 0, chunks = [];
  let received = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    received += value.length;
    if (total) report(path, received, total);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** Return what gzip compressed. A server may have done it, too. */
async function decompress(bytes) {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return a build of the runtime, "cpu" or "gpu". */
async function loadRuntime(build, report) {
  const [ort, program] = await Promise.all([
    import(`./runtime/${build}.js`),
    download(`runtime/${build}.bin`, report).then(decompress),
  ]);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = program.buffer;
  ort.env.wasm.wasmPaths = { mjs: here(`runtime/${build}-loader.js`) };
  // Threads share memory, which browsers only allow on pages that are isolated from others by their server's headers.
  const cores = navigator.hardwareConcurrency || 1;
  ort.env.wasm.numThreads = build === "cpu" && self.crossOriginIsolated ? Math.min(8, Math.ceil(cores / 2)) : 1;
  return ort;
}

/** A program of the model, which maps named arrays to its output. */
class Program {
  constructor(ort, session) {
    this.ort = ort;
    this.session = session;
    const fixed = (shape) => shape.map((size) => (typeof size === "number" ? size : null));
    this.inputs = Object.fromEntries(session.inputMetadata.map(({ name, type, shape }) => [name, { type, shape: fixed(shape) }]));
  }

  /** Return the output as `{data, dims}` for one video. An array's second axis follows from its length. */
  async run(arrays) {
    const tensors = {};
    for (const [name, { type, shape }] of Object.entries(this.inputs)) {
      const rest = shape.slice(2).reduce((product, size) => product * size, 1);
      const dims = [1, ...(shape.length > 1 ? [arrays[name].length / rest] : []), ...shape.slice(2)];
      tensors[name] = new this.ort.Tensor(type, arrays[name], dims);
    }
    const outputs = await this.session.run(tensors);
    const output = outputs[this.session.outputNames[0]], { data, dims } = output;
    return { data, dims };
  }
}

/** Return the model's programs by name, on the CPU. `motion` is missing for a model of images. */
export async function loadPrograms(names, report) {
  const [ort, ...files] = await Promise.all([
    loadRuntime("cpu", report),
    ...names.map((name) => download(`model/${name}.onnx`, report)),
  ]);
  const programs = {};
  for (const [index, name] of names.entries()) {
    programs[name] = new Program(ort, await ort.InferenceSession.create(files[index], options("wasm")));
  }
  return programs;
}

/** Return synthesis on the GPU; null if the browser or the machine has none that works. */
export async function loadGpuSynthesis() {
  try {
    if (!(await navigator.gpu?.requestAdapter())) return null;
    const [ort, file] = await Promise.all([loadRuntime("gpu", () => {}), download("model/synthesis.onnx", () => {})]);
    return new Program(ort, await ort.InferenceSession.create(file, options("webgpu")));
  } catch (error) {
    console.warn(`The GPU is not used: ${error.message}`);
    return null;
  }
}
