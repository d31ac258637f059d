/**
 * ONNX Runtime, on WebGPU where there is one and in WebAssembly elsewhere. It imports nothing, so that
 * the runtime is on its way while the other modules are.
 */

const FOLDER = new URL("runtime/", import.meta.url);
const LIBRARIES = { webgpu: "ort.webgpu.bundle.min.mjs", wasm: "ort.wasm.bundle.min.mjs" };
export const NAMES = { webgpu: "WebGPU", wasm: "WebAssembly" };
// An ONNX file of one node, y = x: to open it compiles the runtime while the model is on its way.
const ONE_NODE = "CAg6LwoQCgF4EgF5IghJZGVudGl0eRIBZ1oLCgF4EgYKBAgBEgBiCwoBeRIGCgQIARIAQgQKABAS";

/**
 * The options of `ort.InferenceSession.create`.
 *
 * @param {string} provider a key of NAMES
 * @param {boolean} hasty the graph as it is: WebAssembly opens it in half the time, but decodes the
 *   weights at each evaluation, which takes a tenth longer
 */
export function optionsFor(provider, hasty) {
  return {
    executionProviders: [provider],
    logSeverityLevel: 3, // errors only: that WebGPU leaves small operations to others is none
    ...(provider === "wasm" && (hasty ? { graphOptimizationLevel: "disabled" } : DECODED)),
  };
}

// More optimisations make no evaluation faster in WebAssembly, and these three take a third of the time.
const DECODED = {
  graphOptimizationLevel: "basic",
  extra: {
    optimization: {
      disable_specified_optimizers:
        "CommonSubexpressionElimination;ConstantSharing;TransposeOptimizer",
    },
  },
};

/**
 * The best that there is.
 *
 * @param {string | null} wanted a key of NAMES; null or another for the best
 * @returns {Promise<string>} a key of NAMES
 */
export async function bestProvider(wanted) {
  if (Object.hasOwn(LIBRARIES, wanted ?? "")) return wanted;
  let adapter;
  try {
    adapter = await navigator.gpu?.requestAdapter();
  } catch {
    return "wasm"; // Firefox throws where the driver is known to be bad
  }
  // One in software is slower than WebAssembly; older browsers say it of the adapter itself.
  const isFallback = adapter?.info?.isFallbackAdapter ?? adapter?.isFallbackAdapter;
  return adapter && !isFallback ? "webgpu" : "wasm";
}

/** The library, compiled. */
export async function start(provider) {
  const ort = await import(new URL(LIBRARIES[provider], FOLDER).href);
  ort.env.wasm.numThreads = 1; // more would need headers that a plain file server does not send
  const bytes = Uint8Array.from(atob(ONE_NODE), (letter) => letter.charCodeAt(0));
  await ort.InferenceSession.create(bytes, optionsFor(provider, true));
  return ort;
}
