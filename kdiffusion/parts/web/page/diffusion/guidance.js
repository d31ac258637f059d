/** Classifier-free guidance (Ho & Salimans 2022): a Denoiser in, a Denoiser out. */

/**
 * @import { Denoiser } from "../denoiser.js"
 * @import { NoiseSchedule } from "./schedule.js"
 */

/**
 * (1 + w) prediction(x, conditions) - w prediction(x, none), both from one call.
 *
 * @param {Denoiser} denoiser async (noisyImages Float32Array, timesteps Int32Array [B],
 *   labels Int32Array [B], more) -> Float32Array
 * @param {number} strength w; 0 is the conditional model itself, at one evaluation
 * @param {number} nullLabel the label that stands for no label; no condition costs one evaluation
 * @param {NoiseSchedule} schedule
 * @param {[number, number] | null} interval guidance applies where low < sigma <= high
 *   (Kynkäänniemi et al. 2024, eq. 5), elsewhere at one evaluation; null: everywhere
 * @returns {Denoiser} of one image at a time
 */
export function guided(denoiser, strength, nullLabel, schedule, interval) {
  if (strength === 0) return denoiser;
  const [low, high] = interval ?? [-Infinity, Infinity];
  return async (noisyImage, timestep, label, more = {}) => {
    const sigma = schedule.noiseLevel(timestep[0]);
    const unguided = sigma <= low || sigma > high || isNull(label, more, nullLabel);
    if (unguided) return denoiser(noisyImage, timestep, label, more);
    const size = noisyImage.length;
    const twice = new Float32Array(2 * size);
    twice.set(noisyImage, 0);
    twice.set(noisyImage, size);
    const prediction = await denoiser(
      twice,
      Int32Array.of(timestep[0], timestep[0]),
      Int32Array.of(label[0], nullLabel),
      besideNone(more),
    );
    const combined = combine(prediction.subarray(0, size), prediction.subarray(size), strength);
    // What the network itself gave that isn't finite is named by who asked for it.
    if (!combined.every(Number.isFinite) && prediction.every(Number.isFinite)) {
      throw new RangeError(
        `The guidance strength must be small enough for float32; ${strength} is not`,
      );
    }
    return combined;
  };
}

// What stands for none of a condition: `nulls` of `kdiffusion/diffusion/conditions.py`.
const NULLS = { numbers: NaN, image: 0 };

/**
 * Whether no condition is given.
 *
 * @param {Int32Array} label
 * @param {import("../denoiser.js").More} more
 * @param {number} nullLabel
 */
function isNull(label, { numbers, image }, nullLabel) {
  const given = numbers?.every(Number.isFinite) || image?.some(Boolean);
  return label[0] === nullLabel && !given;
}

/** The conditions of one image, then as many of none. */
function besideNone(more) {
  const twice = ([name, values]) => [
    name,
    Float32Array.from({ length: 2 * values.length }, (_, i) => values[i] ?? NULLS[name]),
  ];
  return Object.fromEntries(Object.entries(more).map(twice));
}

/** In float32, as NumPy does it. */
function combine(conditional, unconditional, strength) {
  const [towards, away] = [Math.fround(1 + strength), Math.fround(strength)];
  return conditional.map((c, i) => Math.fround(towards * c) - Math.fround(away * unconditional[i]));
}
