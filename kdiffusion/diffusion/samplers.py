"""Samplers: one function each, that takes x from timestep t to s < t.

    step(transition, **options) -> (x_s, estimate)

`transition` is a `Transition`; x_s a float64 array `[B, H, W, C]`. `estimate` is what the network
said of x at t, as the sampler leaves it to the steps after: UniPC corrects its x. A sampler
remembers nothing: the loop owns the history.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kdiffusion.diffusion.higher_order_samplers import (
    dpmpp_2m_sde_step,
    dpmpp_2m_step,
    fitted_step,
    unipc_step,
)
from kdiffusion.diffusion.prediction import Estimate
from kdiffusion.tables import check_name


def ddpm_step(transition, variance="fixed_small"):
    """Ancestral sampling (Ho et al. 2020, algorithm 2; Nichol & Dhariwal 2021, eq. 19).

    Args:
        variance: "fixed_small" or "fixed_large". The latter needs nearly all T steps: with few it
            leaves noise in the image (FID 367 with 10 steps on CIFAR-10, Song et al. 2021).
    """
    estimate = transition.estimate
    return transition.posterior(estimate.x0, variance), estimate


def ddim_step(transition, eta=0.0):
    """DDIM (Song et al. 2021, eq. 12 with the sigma of eq. 16).

    Args:
        eta: float. 0 is deterministic; 1 is ancestral sampling with "fixed_small".
    """
    estimate, schedule = transition.estimate, transition.schedule
    abar_t, abar_s = schedule.alpha_bar(transition.t), schedule.alpha_bar(transition.s)
    variance = eta**2 * (1.0 - abar_s) / (1.0 - abar_t) * (1.0 - abar_t / abar_s)
    towards_x = np.sqrt(np.maximum(1.0 - abar_s - variance, 0.0))
    x_s = np.sqrt(abar_s) * estimate.x0 + towards_x * estimate.eps
    if variance > 0:
        x_s = x_s + np.sqrt(variance) * transition.normal()
    return x_s, estimate


@dataclass(frozen=True)
class Sampler:
    """A row of `SAMPLERS`: the step, and what the loop, its checks and the tests know of it."""

    step: Callable[..., tuple[np.ndarray, Estimate]]
    options: tuple[str, ...] = ()  # its own keyword arguments, fields of `SamplingOptions`
    always_random: bool = False  # draws fresh noise whatever its options
    multistep: bool = False  # looks at the history
    fitted: bool = False  # to a model and its timesteps: takes the card's coefficients
    order: int | None = None  # of the global error as steps double, where nothing is random


SAMPLERS: dict[str, Sampler] = {
    "ddpm": Sampler(ddpm_step, options=("variance",), always_random=True),
    "ddim": Sampler(ddim_step, options=("eta",), order=1),
    "dpmpp_2m": Sampler(dpmpp_2m_step, multistep=True, order=2),
    "dpmpp_2m_sde": Sampler(dpmpp_2m_sde_step, always_random=True, multistep=True),
    # Its corrector adds one to its predictor's two.
    "unipc": Sampler(unipc_step, multistep=True, order=3),
    # Without coefficients it is DDIM.
    "fitted": Sampler(fitted_step, multistep=True, fitted=True, order=1),
}


def find_sampler(name: str) -> Sampler:
    """The row called `name`; an unknown name is an error that lists the known ones."""
    return SAMPLERS[check_name("sampler", name, SAMPLERS)]


def deterministic_sampler(sampler: str | None, recommended: str, eta: float | None) -> str | None:
    """The sampler for images that should agree, which fresh noise would tell apart.

    Args:
        sampler: str. The caller's choice; None for what is recommended if it serves, else "ddim".
        recommended: str. The card's.
        eta: float or None. As in `ddim_step`.
    """
    if sampler is None and find_sampler(recommended).always_random:
        sampler = "ddim"
    if find_sampler(sampler or recommended).always_random or eta:
        raise ValueError(
            "`sampler` must be deterministic: with fresh noise, frames and tiles would differ from "
            f"their neighbours. Received: sampler={sampler!r}, eta={eta}"
        )
    return sampler
