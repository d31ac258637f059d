/** The fitted sampler, of `higher_order_samplers.py`. */

import { firstOrder } from "./dpm_solver.js";
import { weightedSum } from "./weighted_sum.js";

/**
 * DDIM + c0 x + c1 x_0 + c2 (x_0 of the step before) + c3 (x_0 of the one before that), where
 * the card has (c0, c1, c2, c3) of the step from t.
 */
export async function fittedStep(predict, x, t, s, schedule, history, normal, card) {
  const estimate = await predict(x, t);
  const terms = [x, estimate.x0, ...history.toReversed().map((look) => look.x0)];
  const ddim = firstOrder(x, estimate.x0, schedule, t, s);
  const row = card.coefficients[card.timesteps.indexOf(t)];
  return { x: weightedSum(1, ddim, 1, combined(row, terms)), estimate };
}

/** The weights times the arrays; weights without an array are those of missing history, 0. */
function combined(weights, arrays) {
  const nothing = new Float64Array(arrays[0].length);
  return arrays.reduce((sum, array, i) => weightedSum(1, sum, weights[i], array), nothing);
}
