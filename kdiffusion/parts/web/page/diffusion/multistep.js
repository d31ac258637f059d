/** Linear multistep samplers: iPNDM and fitted ones, of `higher_order_samplers.py`. */

import { firstOrder } from "./dpm_solver.js";
import { weightedSum } from "./weighted_sum.js";

// The weights of the newest look and of those before it, by how many there are.
const ADAMS_BASHFORTH = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/** Adams-Bashforth on the predicted noise, up to order 4 (Zhang & Chen 2023). */
export async function ipndmStep(predict, x, t, s, schedule, history) {
  const estimate = await predict(x, t);
  const looks = [estimate, ...history.toReversed()];
  const eps = combined(
    ADAMS_BASHFORTH[history.length],
    looks.map((look) => look.eps),
  );
  let { x0 } = estimate;
  if (history.length > 0) {
    const sigma = schedule.noiseLevel(t); // never of pure noise, where it is infinite
    x0 = weightedSum(1, x0, -sigma, weightedSum(1, eps, -1, estimate.eps));
  }
  const abarS = schedule.alphaBar(s);
  return { x: weightedSum(Math.sqrt(abarS), x0, Math.sqrt(1 - abarS), eps), estimate };
}

/**
 * DDIM + c0 x + c1 x_0 + c2 (x_0 of the step before) + c3 (x_0 of the one before that), where
 * the card has (c0, c1, c2, c3) of the step from t.
 */
export async function fittedStep(predict, x, t, s, schedule, history, normal, card) {
  const estimate = await predict(x, t);
  const before = history.slice(-2).toReversed();
  const terms = [x, estimate.x0, ...before.map((look) => look.x0)];
  const ddim = firstOrder(x, estimate.x0, schedule, t, s);
  const row = card.coefficients[card.timesteps.indexOf(t)];
  return { x: weightedSum(1, ddim, 1, combined(row, terms)), estimate };
}

/** The weights times the arrays; weights without an array are those of missing history, 0. */
function combined(weights, arrays) {
  const nothing = new Float64Array(arrays[0].length);
  return arrays.reduce((sum, array, i) => weightedSum(1, sum, weights[i], array), nothing);
}
