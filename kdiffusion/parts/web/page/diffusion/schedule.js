/** How much of the image is left at each timestep: `kdiffusion/diffusion/schedules.py`. */

import { weightedSum } from "./weighted_sum.js";

/** The noise schedule of a card; s = t = -1 is the clean image. */
export class NoiseSchedule {
  /** @param {number[]} alphasCumprod [T], falling, in (0, 1); the last may be 0 */
  constructor(alphasCumprod) {
    this.alphasCumprod = alphasCumprod;
  }

  get numTimesteps() {
    return this.alphasCumprod.length;
  }

  /** abar_t; 1 for t = -1. */
  alphaBar(t) {
    return t < 0 ? 1 : this.alphasCumprod[t];
  }

  /** sigma_t = sqrt((1 - abar_t) / abar_t) (Karras et al. 2022). */
  noiseLevel(t) {
    return Math.sqrt((1 - this.alphaBar(t)) / this.alphaBar(t));
  }

  /** lambda_t = log(sqrt(abar_t) / sqrt(1 - abar_t)) (Lu et al. 2022); infinite at either end. */
  halfLogSnr(t) {
    return 0.5 * (Math.log(this.alphaBar(t)) - Math.log1p(-this.alphaBar(t)));
  }

  /**
   * x_s of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7), by the draws of `normal`; its mean at s = -1,
   * as the last step adds no noise. The variance is one of section 3.2.
   */
  posterior(x0, x, t, s, normal, variance = "fixed_small") {
    const [abarT, abarS] = [this.alphaBar(t), this.alphaBar(s)];
    const beta = 1 - abarT / abarS;
    const left = (1 - abarS) / (1 - abarT);
    const ofX0 = (Math.sqrt(abarS) * beta) / (1 - abarT);
    const mean = weightedSum(ofX0, x0, Math.sqrt(abarT / abarS) * left, x);
    if (s < 0) return mean;
    return weightedSum(1, mean, Math.sqrt(variance === "fixed_large" ? beta : beta * left), normal());
  }
}
