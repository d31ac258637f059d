/** Which timesteps are visited: `kdiffusion/diffusion/spacing.py`. */

/** @import { NoiseSchedule } from "./schedule.js" */

const [RHO, SIGMA_MAX] = [7, 80]; // Karras et al. 2022, table 1

/** Each takes (schedule, steps) and gives `steps` falling numbers, still to be rounded. */
const SPACINGS = {
  linspace: ({ numTimesteps: T }, steps) => left(steps, (k, whole) => ((T - 1) * k) / whole),
  leading: ({ numTimesteps: T }, steps) =>
    upTo(steps, (i) => (steps - 1 - i) * Math.floor(T / steps)),
  // Lin et al. 2024, table 2.
  trailing: ({ numTimesteps: T }, steps) => upTo(steps, (i) => i * (-T / steps) + T - 1),
  quadratic: ({ numTimesteps: T }, steps) =>
    left(steps, (k, whole) => ((T - 1) * k ** 2) / whole ** 2),
  karras,
};

/**
 * The steps (t, s) from noise to the clean image, which is s = -1.
 *
 * @param {NoiseSchedule} schedule
 * @param {number} steps 1 .. T
 * @param {number[] | null} timesteps to visit, falling; null: as `spacing` places them
 * @param {string} spacing a key of SPACINGS
 * @returns {[number, number][]} pairs (t, s), t falling, each s the next t, the last -1
 */
export function timestepPairs(schedule, steps, timesteps = null, spacing = "trailing") {
  const last = schedule.numTimesteps - 1;
  const visited = timesteps ?? distinct(SPACINGS[spacing](schedule, steps).map(rint), last);
  return visited.map((t, i) => [t, i + 1 < visited.length ? visited[i + 1] : -1]);
}

/** Karras et al. 2022, eq. 5: each noise level at the nearest timestep in log sigma. */
function karras(schedule, steps) {
  const T = schedule.numTimesteps;
  const sigma = upTo(T, (t) => schedule.noiseLevel(t));
  const logs = sigma.filter(Number.isFinite).map(Math.log);
  const [low, high] = [sigma[0], Math.min(sigma[T - 1], SIGMA_MAX)].map((s) => s ** (1 / RHO));
  return line(high, low, steps).map((root, i) => {
    if (i === 0) return T - 1;
    const wanted = Math.log(root ** RHO);
    const above = logs.findIndex((log) => log >= wanted);
    if (above <= 0) return above === 0 ? 0 : logs.length - 1;
    return above - (logs[above] - wanted) / (logs[above] - logs[above - 1]);
  });
}

/** Moves those that collide apart, within 0 .. last: `timesteps` fall. */
function distinct(timesteps, last) {
  const most = last + 1 - timesteps.length;
  let offset = 0;
  return timesteps
    .toReversed()
    .map((t, i) => {
      offset = Math.max(offset, Math.min(t - i, most));
      return offset + i;
    })
    .toReversed();
}

/** Evenly spaced from `start` to `end`, both included. */
function line(start, end, steps) {
  const slope = steps > 1 ? (end - start) / (steps - 1) : 0;
  return upTo(steps, (i) => (i > 0 && i === steps - 1 ? end : i * slope + start));
}

/** Of N steps, make(N - 1, N - 1), make(N - 2, N - 1), ..., make(0, N - 1). */
function left(steps, make) {
  const whole = Math.max(steps - 1, 1);
  return upTo(steps, (i) => make(whole - i, whole));
}

function upTo(count, make) {
  return Array.from({ length: count }, (_, i) => make(i));
}

/** To the nearest integer, a half to the even one, as NumPy does. */
export function rint(number) {
  const floor = Math.floor(number);
  const rest = number - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
