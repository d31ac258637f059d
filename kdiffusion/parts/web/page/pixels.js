/** The model's range into pixels: `to_uint8` of `kdiffusion/images.py`. */

import { rint } from "./diffusion/spacing.js";

/**
 * The model's -1 .. 1 as pixels, in float32 as Python has it at the end of its loop.
 *
 * @param {Float64Array} x [height * width * channels], row by row
 * @param {number} channels 1 or 3
 * @returns {Uint8ClampedArray<ArrayBuffer>} [height * width * 4]: red, green, blue, opaque
 */
export function toRgba(x, channels) {
  const pixels = new Uint8ClampedArray((x.length / channels) * 4).fill(255);
  for (let pixel = 0; pixel < pixels.length / 4; pixel += 1) {
    for (let colour = 0; colour < 3; colour += 1) {
      const value = Math.fround(x[pixel * channels + (channels === 3 ? colour : 0)]);
      pixels[4 * pixel + colour] = rint(Math.fround(Math.fround(value + 1) * 127.5));
    }
  }
  return pixels;
}
