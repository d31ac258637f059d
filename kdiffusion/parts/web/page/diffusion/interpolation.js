/** Walks between images: `kdiffusion/diffusion/interpolation.py`. */

import { SAMPLERS } from "./samplers.js";
import { weightedSum } from "./weighted_sum.js";

/**
 * Spherical interpolation (Shoemake 1985): a straight line would pass through the middle of the
 * sphere on which Gaussian noise lies.
 *
 * @param {Float64Array} a
 * @param {Float64Array} b of the same length, not opposite to a
 * @param {number} fraction 0 gives a, 1 gives b
 * @returns {Float64Array}
 */
export function slerp(a, b, fraction) {
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.min(Math.max(cosine, -1), 1));
  const sine = Math.sin(angle);
  if (sine < 1e-6) return weightedSum(1 - fraction, a, fraction, b);
  return weightedSum(
    Math.sin((1 - fraction) * angle) / sine,
    a,
    Math.sin(fraction * angle) / sine,
    b,
  );
}

/** The sampler itself if it adds no fresh noise, which would make neighbouring images unlike. */
export function deterministic(sampler) {
  return SAMPLERS[sampler].random ? "ddim" : sampler;
}

function dot(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}
