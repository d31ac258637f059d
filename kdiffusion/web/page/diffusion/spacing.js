/** Which timesteps are visited: named ones, or "trailing" of `kdiffusion/diffusion/spacing.py`. */

/**
 * The steps (t, s) from noise to the clean image, which is s = -1.
 *
 * @param {number} numTimesteps T
 * @param {number} steps 1 .. T
 * @param {number[] | null} timesteps to visit, falling; null: evenly spaced
 * @returns {[number, number][]} pairs (t, s), t falling, each s the next t, the last -1
 */
export function timestepPairs(numTimesteps, steps, timesteps = null) {
  const visited = timesteps ?? trailing(numTimesteps, steps);
  return visited.map((t, i) => [t, i + 1 < visited.length ? visited[i + 1] : -1]);
}

/** Evenly spaced from T-1 to the clean image at -1 (Lin et al. 2024, table 2). */
function trailing(numTimesteps, steps) {
  const stride = -numTimesteps / steps; // at least 1 long, so that no two round to the same
  return Array.from({ length: steps }, (_, i) => rint(i * stride + numTimesteps - 1));
}

/** To the nearest integer, a half to the even one, as NumPy does. */
export function rint(number) {
  const floor = Math.floor(number);
  const rest = number - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
