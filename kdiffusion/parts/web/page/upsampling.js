/** A sampled image made larger by a second model: `kdiffusion/diffusion/upsampling.py`, one tile. */

/** @import { Card } from "./artifact.js" */

import { deterministic } from "./diffusion/interpolation.js";
import { ImageNoise } from "./diffusion/seeded_noise.js";
import { recommended } from "./settings.js";

const NOISE_ON_SAMPLES = 0.05; // hides their faults, as in `sample --upsample`
const REACH = 2; // pixels to either side that bicubic interpolation looks at

/**
 * The settings by which an upsampler makes an image larger.
 *
 * @param {Card} card the upsampler's
 * @param {Float64Array} x the small image
 * @param {number} side its height in pixels
 * @param {bigint} seed of the details
 */
export function enlarging(card, x, side, seed) {
  const [height, width, channels] = card.image_shape;
  const factor = height / side;
  const large = stretched(stretched(x, width / factor, channels, factor), side, width * channels, factor);
  const noise = new ImageNoise(seed, large.length);
  noise.normal(); // which the large image begins as
  const more = noise.normal();
  const image = Float32Array.from(
    large,
    (value, i) => Math.min(Math.max(value, -1), 1) + NOISE_ON_SAMPLES * more[i],
  );
  const settings = recommended(card);
  return { ...settings, sampler: deterministic(settings.sampler), seed, more: { image } };
}

/** An array [outer, size, inner] with its middle axis `factor` times as long, by Pillow's bicubic. */
function stretched(values, size, inner, factor) {
  const result = new Float64Array(values.length * factor);
  for (let row = 0; row < result.length / inner; row += 1) {
    const [outer, place] = [Math.floor(row / (factor * size)), row % (factor * size)];
    const centre = (place + 0.5) / factor - 0.5;
    const first = Math.max(0, Math.ceil(centre - REACH));
    const last = Math.min(size - 1, Math.floor(centre + REACH));
    let total = 0;
    for (let from = first; from <= last; from += 1) {
      const weight = bicubic(Math.abs(from - centre));
      total += weight;
      for (let i = 0; i < inner; i += 1) {
        result[row * inner + i] += weight * values[(outer * size + from) * inner + i];
      }
    }
    for (let i = 0; i < inner; i += 1) result[row * inner + i] /= total;
  }
  return result;
}

/** The weight of a pixel at a distance of 0 to 2 (Keys 1981, a = -1/2). */
function bicubic(d) {
  return d < 1 ? (1.5 * d - 2.5) * d * d + 1 : ((-0.5 * d + 2.5) * d - 4) * d + 2;
}
