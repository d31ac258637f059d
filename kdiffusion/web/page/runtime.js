/** The network in ONNX Runtime, on WebGPU where there is one and in WebAssembly elsewhere. */

/**
 * @import { Card } from "./artifact.js"
 * @import { Denoiser } from "./denoiser.js"
 */

import { openDenoiser } from "./denoiser.js";

const FOLDER = new URL("runtime/", import.meta.url);
const LIBRARIES = { webgpu: "ort.webgpu.bundle.min.mjs", wasm: "ort.wasm.bundle.min.mjs" };
const NAMES = { webgpu: "WebGPU", wasm: "WebAssembly" };

/**
 * Opens a network on the best that there is.
 *
 * @param {Uint8Array} model an ONNX file with the contract's inputs and output
 * @param {Card} card
 * @param {string | null} wanted a key of LIBRARIES; null for the best that there is
 * @returns {Promise<{denoiser: Denoiser, name: string}>} name: what it runs on, for people
 */
export async function openOnBest(model, card, wanted) {
  const isKnown = Object.hasOwn(LIBRARIES, wanted ?? "");
  const first = isKnown ? wanted : (await hasWebGpu()) ? "webgpu" : "wasm";
  try {
    return { denoiser: await open(first, model, card), name: NAMES[first] };
  } catch (error) {
    if (first === "wasm") throw new Error(`${NAMES.wasm} could not be used: ${error.message}`);
    // A driver may lack what the network needs, or compute it wrongly; the processor always can.
    const name = `${NAMES.wasm}, because ${NAMES.webgpu} could not be used (${error.message})`;
    return { denoiser: await open("wasm", model, card), name };
  }
}

/** Whether there is a graphics adapter; one in software is slower than WebAssembly. */
async function hasWebGpu() {
  let adapter;
  try {
    adapter = await navigator.gpu?.requestAdapter();
  } catch {
    return false; // as Firefox does where the driver is known to be bad
  }
  // Older browsers say it of the adapter itself.
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

async function open(provider, model, card) {
  const ort = await import(new URL(LIBRARIES[provider], FOLDER).href);
  ort.env.wasm.numThreads = 1; // more would need headers that a plain file server does not send
  return openDenoiser(ort, model, card, {
    executionProviders: [provider],
    logSeverityLevel: 3, // errors only: that WebGPU leaves small operations to others is none
  });
}
