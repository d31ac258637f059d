"""Solvers of the probability-flow ODE and SDE: DPM-Solver++, UniPC, and fitted ones.

With lambda = log(alpha / sigma), alpha = sqrt(abar) and sigma = sqrt(1 - abar), the solution from
t to s is (Lu et al. 2022, proposition 4.1)

    x_s = (sigma_s / sigma_t) x_t + sigma_s (integral of e^lambda x_0(lambda) from t to s),

so only x_0(lambda) is approximated. A constant x_0 gives DDIM, a straight line in lambda second
order. All is written with e^-h, h = lambda_s - lambda_t, which is 0 when either end has infinite
lambda: pure noise (zero terminal SNR) and the clean image need no case of their own.

UniPC of order 2, with B(h) = e^h - 1 (Zhao et al. 2023, algorithms 1 and 2): the evaluation at t,
which the next step needs anyway, first corrects x at t itself (UniC); then a predictor (UniP)
steps on. So each evaluation is used twice, and order 3 costs one evaluation a step.
"""

import dataclasses
from types import MappingProxyType

import numpy as np

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.transition import Transition


def decay(schedule: NoiseSchedule, t: int, s: int) -> float:
    """e^-h = (alpha_t sigma_s) / (sigma_t alpha_s), in [0, 1)."""
    abar_t, abar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
    return np.sqrt(abar_t * (1.0 - abar_s) / ((1.0 - abar_t) * abar_s))


def first_order(
    x: np.ndarray, x0: np.ndarray, schedule: NoiseSchedule, t: int, s: int
) -> np.ndarray:
    """x_s = (sigma_s / sigma_t) x - alpha_s (e^-h - 1) x_0, which is DDIM."""
    abar_t, abar_s = schedule.alpha_bar(t), schedule.alpha_bar(s)
    ratio = np.sqrt((1.0 - abar_s) / (1.0 - abar_t))
    return ratio * x + np.sqrt(abar_s) * (1.0 - decay(schedule, t, s)) * x0


def with_slope(transition: Transition) -> np.ndarray:
    """x_0 half a step on in lambda, along the line from the estimate before.

    It is x_0 itself where no line can be had: on the first step, on the last one (to s = -1, where
    h is infinite), and where the step before came from pure noise.
    """
    estimate, schedule = transition.estimate, transition.schedule
    if not transition.history or transition.s < 0:
        return estimate.x0
    before, t = transition.history[-1], estimate.t
    h_before = schedule.half_log_snr(t) - schedule.half_log_snr(before.t)
    h = schedule.half_log_snr(transition.s) - schedule.half_log_snr(t)
    return estimate.x0 + 0.5 * ((h / h_before) * (estimate.x0 - before.x0))


def dpmpp_2m_step(transition):
    """DPM-Solver++(2M): second order at one evaluation per step (Lu et al. 2022, algorithm 2)."""
    estimate, x0 = transition.estimate, with_slope(transition)
    return first_order(estimate.x, x0, transition.schedule, estimate.t, transition.s), estimate


def dpmpp_2m_sde_step(transition):
    """SDE-DPM-Solver++(2M), for the diffusion SDE (Lu et al. 2022, section 5).

    Its first order is ancestral sampling with "fixed_small". Fresh noise forgets the errors of the
    steps before.
    """
    return transition.posterior(with_slope(transition), "fixed_small"), transition.estimate


def unipc_step(transition):
    """The correction of x by the evaluation there, and the prediction of x_s (UniP-2).

    The estimate that is handed back holds the corrected x, from which the next correction starts.
    """
    estimate, schedule = transition.estimate, transition.schedule
    if transition.history:
        corrected = _corrected(estimate, transition.history, schedule)
        estimate = dataclasses.replace(estimate, x=corrected)
    x0 = with_slope(transition)
    return first_order(estimate.x, x0, schedule, estimate.t, transition.s), estimate


def _corrected(estimate, history, schedule) -> np.ndarray:
    """x at t again, with the prediction made there (UniC, theorem 3.1).

    Over the step that led to t, of length h in lambda, x_0 is its value at the start plus multiples
    of the differences to the value before (r_1 h away, r_1 < 0) and to the one at t (h away).
    """
    start, t = history[-1], estimate.t
    ahead = estimate.x0 - start.x0
    if len(history) == 1:  # UniC-1
        return first_order(start.x, start.x0 + 0.5 * ahead, schedule, start.t, t)
    before = history[-2]
    h = schedule.half_log_snr(t) - schedule.half_log_snr(start.t)
    r_1 = (schedule.half_log_snr(before.t) - schedule.half_log_snr(start.t)) / h
    # phi_k of -h, by phi_k+1 = (phi_k - 1 / k!) / -h, against B(-h) = e^-h - 1.
    b = decay(schedule, start.t, t) - 1.0
    phi_2 = b / -h - 1.0
    phi_3 = phi_2 / -h - 0.5
    target_1, target_2 = phi_2 / b, 2.0 * phi_3 / b
    # rho_1 + rho_2 = target_1 and r_1 rho_1 + rho_2 = target_2.
    rho_1 = (target_1 - target_2) / (1.0 - r_1)
    rho_2 = target_1 - rho_1
    x0 = start.x0 + rho_1 / r_1 * (before.x0 - start.x0) + rho_2 * ahead
    return first_order(start.x, x0, schedule, start.t, t)


def fitted_step(transition, corrections=MappingProxyType({})):
    """DDIM + c0 x + c1 x_0 + c2 (x_0 of the step before) + c3 (x_0 of the one before that).

    Args:
        corrections: t ► (c0, c1, c2, c3) of the step from t, as `fit_sampler` found them. A step
            without a row is DDIM, as is one without the history that its row is for: the first
            steps of `image_to_image`.
    """
    now, history = transition.estimate, transition.history
    x_s = first_order(now.x, now.x0, transition.schedule, now.t, transition.s)
    terms = (now.x, now.x0, *(before.x0 for before in reversed(history)))
    row = corrections.get(now.t, ())
    if not any(row[len(terms) :]):
        x_s = x_s + sum(c * term for c, term in zip(row, terms, strict=False))
    return x_s, now
