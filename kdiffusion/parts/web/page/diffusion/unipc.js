/** UniPC of order 2 with B(h) = e^h - 1 (Zhao et al. 2023): `higher_order_samplers.py`. */

import { decay, extrapolated, firstOrder } from "./dpm_solver.js";
import { weightedSum } from "./weighted_sum.js";

/** The correction of x by the estimate at the predicted x, and the prediction of x_s. */
export function unipcStep(looked, s, schedule, history) {
  const estimate = history.length ? { ...looked, x: corrected(looked, history, schedule) } : looked;
  const x0 = extrapolated(estimate, history, schedule, s); // UniP-2
  return { x: firstOrder(estimate.x, x0, schedule, estimate.t, s), estimate };
}

/** x at t, stepped to once more with what the network said there (UniC). */
function corrected(estimate, history, schedule) {
  const start = history.at(-1);
  const t = estimate.t;
  const ahead = weightedSum(1, estimate.x0, -1, start.x0);
  if (history.length === 1) {
    // UniC-1
    return firstOrder(start.x, weightedSum(1, start.x0, 0.5, ahead), schedule, start.t, t);
  }
  const before = history.at(-2);
  const h = schedule.halfLogSnr(t) - schedule.halfLogSnr(start.t);
  const r1 = (schedule.halfLogSnr(before.t) - schedule.halfLogSnr(start.t)) / h;
  // phi_k of -h, by phi_k+1 = (phi_k - 1 / k!) / -h, against B(-h) = e^-h - 1.
  const b = decay(schedule, start.t, t) - 1;
  const phi2 = b / -h - 1;
  const phi3 = phi2 / -h - 0.5;
  const [target1, target2] = [phi2 / b, (2 * phi3) / b];
  // rho1 + rho2 = target1 and r1 rho1 + rho2 = target2.
  const rho1 = (target1 - target2) / (1 - r1);
  const rho2 = target1 - rho1;
  const back = weightedSum(1, before.x0, -1, start.x0);
  const x0 = weightedSum(1, start.x0, 1, weightedSum(rho1 / r1, back, rho2, ahead));
  return firstOrder(start.x, x0, schedule, start.t, t);
}
