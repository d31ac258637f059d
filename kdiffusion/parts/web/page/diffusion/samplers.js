/**
 * Samplers: one function each, that goes from an estimate at timestep t to s < t, as in
 * `kdiffusion/diffusion/samplers.py`: `ddpm` with the card's variance, `ddim` with eta 0.
 *
 *     step(estimate, s, schedule, history, normal, card) -> { x, estimate }
 */

import { dpmpp2mSdeStep, dpmpp2mStep } from "./dpm_solver.js";
import { fittedStep } from "./fitted.js";
import { unipcStep } from "./unipc.js";
import { weightedSum } from "./weighted_sum.js";

/** Ancestral sampling (Ho et al. 2020, algorithm 2), with the variance that the card says. */
function ddpmStep(estimate, s, schedule, history, normal, { variance }) {
  const { x, x0, t } = estimate;
  return { x: schedule.posterior(x0, x, t, s, normal, variance), estimate };
}

/** DDIM without fresh noise (Song et al. 2021, eq. 12). */
function ddimStep(estimate, s, schedule) {
  const abarS = schedule.alphaBar(s);
  return {
    x: weightedSum(Math.sqrt(abarS), estimate.x0, Math.sqrt(1 - abarS), estimate.eps),
    estimate,
  };
}

/** The step, whether two runs from the same latent differ, and whether it needs coefficients. */
export const SAMPLERS = {
  ddpm: { step: ddpmStep, random: true },
  ddim: { step: ddimStep, random: false },
  dpmpp_2m: { step: dpmpp2mStep, random: false },
  dpmpp_2m_sde: { step: dpmpp2mSdeStep, random: true },
  unipc: { step: unipcStep, random: false },
  fitted: { step: fittedStep, random: false, fitted: true },
};
