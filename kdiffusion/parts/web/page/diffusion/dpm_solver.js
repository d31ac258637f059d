/** Exponential integrators in x_0 (Lu et al. 2022): `higher_order_samplers.py`. */

import { weightedSum } from "./weighted_sum.js";

/** e^-h = (alpha_t sigma_s) / (sigma_t alpha_s), h = lambda_s - lambda_t; in [0, 1). */
export function decay(schedule, t, s) {
  const [abarT, abarS] = [schedule.alphaBar(t), schedule.alphaBar(s)];
  return Math.sqrt((abarT * (1 - abarS)) / ((1 - abarT) * abarS));
}

/** x_s = (sigma_s / sigma_t) x - alpha_s (e^-h - 1) x_0, which is DDIM. */
export function firstOrder(x, x0, schedule, t, s) {
  const [abarT, abarS] = [schedule.alphaBar(t), schedule.alphaBar(s)];
  const ratio = Math.sqrt((1 - abarS) / (1 - abarT));
  return weightedSum(ratio, x, Math.sqrt(abarS) * (1 - decay(schedule, t, s)), x0);
}

/**
 * x_0 half a step on, along the line through the estimate before; x_0 itself on the first step and
 * on the last one, where lambda is infinite and a line can't be followed.
 */
export function extrapolated(estimate, history, schedule, s) {
  if (history.length === 0 || s < 0) return estimate.x0;
  const before = history.at(-1);
  const hBefore = schedule.halfLogSnr(estimate.t) - schedule.halfLogSnr(before.t);
  const h = schedule.halfLogSnr(s) - schedule.halfLogSnr(estimate.t);
  const half = 0.5 * (h / hBefore);
  return weightedSum(1 + half, estimate.x0, -half, before.x0);
}

/** DPM-Solver++(2M): second order at one evaluation per step (Lu et al. 2022, algorithm 2). */
export function dpmpp2mStep(estimate, s, schedule, history) {
  const x0 = extrapolated(estimate, history, schedule, s);
  return { x: firstOrder(estimate.x, x0, schedule, estimate.t, s), estimate };
}

/** SDE-DPM-Solver++(2M), which adds fresh noise (Lu et al. 2022, section 5). */
export function dpmpp2mSdeStep(estimate, s, schedule, history, normal) {
  const x0 = extrapolated(estimate, history, schedule, s);
  return { x: schedule.posterior(x0, estimate.x, estimate.t, s, normal), estimate };
}
