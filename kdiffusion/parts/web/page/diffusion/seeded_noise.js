/**
 * One image, one seed: the noise stream that `kdiffusion/diffusion/seeded_noise.py` defines.
 *
 * Philox4x64-10 (Salmon et al. 2011) with key (seed, 0) and counters (1, 0, 0, 0), (2, 0, 0, 0) and
 * so on, 53 bits of each word, Box-Muller. The first draw is x_T; random samplers take one more for
 * each noisy step.
 */

const MASK = (1n << 64n) - 1n;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const KEY_STEPS = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];
const ROUNDS = 10;

export const LARGEST_SEED = MASK;

/** Standard normal noise for one image; each draw goes on where the last one ended. */
export class ImageNoise {
  /**
   * @param {bigint} seed from 0 to 2^64 - 1
   * @param {number} size numbers in an image: height * width * channels
   */
  constructor(seed, size) {
    this.size = size;
    this.words = philoxWords(seed);
  }

  /** The next draw: Float64Array [size]; an odd size drops the last number of the draw. */
  normal() {
    const numbers = new Float64Array(this.size + (this.size % 2));
    for (let i = 0; i < numbers.length; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
      const angle = 2 * Math.PI * this.uniform();
      numbers[i] = radius * Math.cos(angle);
      numbers[i + 1] = radius * Math.sin(angle);
    }
    return numbers.subarray(0, this.size);
  }

  /** The upper 53 bits of the next word, in [0, 1). */
  uniform() {
    return Number(this.words.next().value >> 11n) * 2 ** -53;
  }
}

/** The 64-bit words of a seed, without end. */
export function* philoxWords(seed) {
  for (let block = 1n; ; block += 1n) yield* philoxBlock([block, 0n, 0n, 0n], [seed, 0n]);
}

/** Four words from a counter and a key (Salmon et al. 2011, section 3.3). */
function philoxBlock(counter, key) {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round += 1) {
    const first = MULTIPLIERS[0] * c0; // 128 bits
    const second = MULTIPLIERS[1] * c2;
    [c0, c1, c2, c3] = [
      (second >> 64n) ^ c1 ^ k0,
      second & MASK,
      (first >> 64n) ^ c3 ^ k1,
      first & MASK,
    ];
    k0 = (k0 + KEY_STEPS[0]) & MASK;
    k1 = (k1 + KEY_STEPS[1]) & MASK;
  }
  return [c0, c1, c2, c3];
}
