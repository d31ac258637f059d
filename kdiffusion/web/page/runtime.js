/** The network in ONNX Runtime, on WebGPU where there is one and in WebAssembly elsewhere. */

import { checkRuntime, metadata } from "./artifact.js";

const FOLDER = new URL("runtime/", import.meta.url);
const LIBRARIES = { webgpu: "ort.webgpu.bundle.min.mjs", wasm: "ort.wasm.bundle.min.mjs" };
const NAMES = { webgpu: "WebGPU", wasm: "WebAssembly" };

/**
 * Opens a network and compares some of its numbers with those that the file carries.
 *
 * @param {Uint8Array} model an ONNX file with the contract's inputs and output
 * @param {object} card
 * @param {string | null} wanted a key of LIBRARIES; null for the best that there is
 * @returns {Promise<{denoiser: Denoiser, name: string}>} name: what it runs on, for people
 */
export async function openDenoiser(model, card, wanted) {
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
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [provider],
    logSeverityLevel: 3, // errors only: that WebGPU leaves small operations to others is none
  });
  const denoiser = async (noisyImages, timesteps, labels) => {
    const shape = [timesteps.length, ...card.image_shape];
    const { prediction } = await session.run({
      noisy_image: new ort.Tensor("float32", noisyImages, shape),
      timestep: new ort.Tensor("int32", timesteps, [timesteps.length]),
      label: new ort.Tensor("int32", labels, [labels.length]),
    });
    return prediction.data;
  };
  await checkRuntime(denoiser, card, metadata(model, "kdiffusion.self_check"));
  return denoiser;
}
