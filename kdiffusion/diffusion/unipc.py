"""UniPC of order 2, in the image, B(h) = e^h - 1 (Zhao et al. 2023, "UniPC", algorithms 1 and 2).

The evaluation at t, which the next step needs anyway, first corrects x at t itself (UniC); then a
predictor (UniP) steps on. So each evaluation is used twice and order 3 is had for one per step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.diffusion.dpm_solver import decay, first_order, slope_over_step

if TYPE_CHECKING:
    from kdiffusion.diffusion.forward_process import NoiseSchedule
    from kdiffusion.diffusion.prediction import Estimate, Predict


def unipc_step(
    predict: Predict,
    x: np.ndarray,
    t: int,
    s: int,
    schedule: NoiseSchedule,
    history: tuple[Estimate, ...],
    normal: Callable[[], np.ndarray],
) -> tuple[np.ndarray, Estimate]:
    """One evaluation at the predicted x, the correction of x, and the prediction of x_s.

    The estimate that is handed back holds the corrected x, from which the next correction starts.
    """
    estimate = predict(x, t)
    if history:
        estimate = dataclasses.replace(estimate, x=_corrected(estimate, history, schedule))
    x0 = estimate.x0 + 0.5 * slope_over_step(estimate, history, schedule, s)  # UniP-2
    return first_order(estimate.x, x0, schedule, t, s), estimate


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
