/** Between the float64 mathematics and the network: `kdiffusion/diffusion/prediction.py`. */

/**
 * @import { Card } from "../artifact.js"
 * @import { Denoiser } from "../denoiser.js"
 * @import { NoiseSchedule } from "./schedule.js"
 */

import { weightedSum } from "./weighted_sum.js";

/** (prediction, x, sqrt(abar), sqrt(1 - abar)) -> x_0 (Ho et al. 2020; Salimans & Ho 2022). */
export const TO_X0 = {
  epsilon: (prediction, x, signal, noise) =>
    weightedSum(1 / signal, x, -noise / signal, prediction),
  x0: (prediction) => Float64Array.from(prediction),
  v: (prediction, x, signal, noise) => weightedSum(signal, x, -noise, prediction),
};

/** Keeps an image within the range of pixels, unless the card says not to. */
export function clipped(image, card) {
  return (card.clip ?? true) ? image.map((v) => Math.min(Math.max(v, -1), 1)) : image;
}

/**
 * What one look of the network at x says, with x_0 kept within the range of images.
 *
 * @typedef {{t: number, x: Float64Array, x0: Float64Array, eps: Float64Array}} Estimate
 * @param {Denoiser} denoiser
 * @param {{label: number, more: import("../denoiser.js").More}} conditions
 * @param {NoiseSchedule} schedule
 * @param {Card} card
 * @returns {(x: Float64Array, t: number) => Promise<Estimate>}
 */
export function predictor(denoiser, { label, more }, schedule, card) {
  const toX0 = TO_X0[card.prediction_type];
  return async (x, t) => {
    const [timestep, labels] = [Int32Array.of(t), Int32Array.of(label)];
    const prediction = await denoiser(Float32Array.from(x), timestep, labels, more);
    if (!prediction.every(Number.isFinite)) {
      throw new Error(`The network must return finite numbers; it did not at timestep ${t}.`);
    }
    const signal = Math.sqrt(schedule.alphaBar(t));
    const noise = Math.sqrt(1 - schedule.alphaBar(t));
    const x0 = clipped(toX0(prediction, x, signal, noise), card);
    // From the clipped x_0, so that the two still make up x.
    const eps = weightedSum(1 / noise, x, -signal / noise, x0);
    return { t, x, x0, eps };
  };
}
