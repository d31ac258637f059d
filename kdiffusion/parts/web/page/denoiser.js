/** The network of an exported file in an ONNX Runtime, which the caller brings. */

/** @import { Card } from "./artifact.js" */

import { checkRuntime, conditionShapes, metadata } from "./artifact.js";

/**
 * @typedef {{numbers?: Float32Array, image?: Float32Array}} More conditions that a card has beside
 *   the label: numbers [B, K], NaN for none, and image [B, H, W, C'], zeros for none
 * @typedef {(noisyImages: Float32Array, timesteps: Int32Array, labels: Int32Array, more?: More) =>
 *   Promise<Float32Array>} Denoiser of images [B, H, W, C], timesteps [B] and labels [B]
 */

/**
 * Opens a network and compares some of its numbers with those that the file carries.
 *
 * @param {any} ort the module onnxruntime-web or onnxruntime-node
 * @param {Uint8Array} file an ONNX file with the contract's inputs and output
 * @param {Card} card
 * @param {object} [options] of `ort.InferenceSession.create`
 * @returns {Promise<Denoiser & {release: () => Promise<void>}>} release: frees its memory
 */
export async function openDenoiser(ort, file, card, options) {
  const session = await ort.InferenceSession.create(file, options);
  /** @type {Denoiser} */
  const denoiser = async (noisyImages, timesteps, labels, more = {}) => {
    const shape = [timesteps.length, ...card.image_shape];
    const inputs = {
      noisy_image: new ort.Tensor("float32", noisyImages, shape),
      timestep: new ort.Tensor("int32", timesteps, [timesteps.length]),
      label: new ort.Tensor("int32", labels, [labels.length]),
    };
    for (const [name, values] of Object.entries(more)) {
      const one = conditionShapes(card)[name];
      inputs[name] = new ort.Tensor("float32", values, [timesteps.length, ...one]);
    }
    const { prediction } = await session.run(inputs);
    return prediction.data;
  };
  await checkRuntime(denoiser, card, metadata(file, "kdiffusion.self_check"));
  return Object.assign(denoiser, { release: () => session.release() });
}
