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

  /** The mean of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7). */
  posteriorMean(x0, x, t, s) {
    const [abarT, abarS] = [this.alphaBar(t), this.alphaBar(s)];
    const beta = 1 - abarT / abarS;
    return weightedSum(
      (Math.sqrt(abarS) * beta) / (1 - abarT),
      x0,
      (Math.sqrt(abarT / abarS) * (1 - abarS)) / (1 - abarT),
      x,
    );
  }

  /** The variance of p(x_s | x_t), s >= 0 (Ho et al. 2020, section 3.2). */
  posteriorVariance(t, s, variance = "fixed_small") {
    const [abarT, abarS] = [this.alphaBar(t), this.alphaBar(s)];
    const beta = 1 - abarT / abarS;
    return variance === "fixed_large" ? beta : (beta * (1 - abarS)) / (1 - abarT);
  }
}
