/** The fitted sampler, of `higher_order_samplers.py`. */

import { firstOrder } from "./dpm_solver.js";
import { weightedSum } from "./weighted_sum.js";

/**
 * DDIM + c0 x + c1 x_0 + c2 (x_0 of the step before) + c3 (x_0 of the one before that), where
 * the card has (c0, c1, c2, c3) of the step from t.
 */
export function fittedStep(estimate, s, schedule, history, normal, card) {
  const { x, x0, t } = estimate;
  const terms = [x, x0, ...history.toReversed().map((look) => look.x0)];
  const ddim = firstOrder(x, x0, schedule, t, s);
  const row = card.coefficients[card.timesteps.indexOf(t)];
  // Coefficients without a term are those of missing history, 0.
  return { x: terms.reduce((sum, term, i) => weightedSum(1, sum, row[i], term), ddim), estimate };
}
