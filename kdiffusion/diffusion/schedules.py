"""Noise schedules: how much of the image is left at each timestep (Ho et al. 2020, section 2).

A schedule is the float64 array `alphas_cumprod`, which makes a `NoiseSchedule`.
"""

import inspect
from collections.abc import Callable

import numpy as np

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.tables import check_name

MAX_BETA = 0.999  # Nichol & Dhariwal 2021: "to prevent singularities" at the noisy end.


def linear_alphas_cumprod(
    num_timesteps: int, first_beta: float = 1e-4, last_beta: float = 0.02
) -> np.ndarray:
    """Linear schedule: betas 1e-4 .. 0.02 for T = 1000 (Ho et al. 2020, section 4).

    For another T the betas are scaled by 1000 / T (Nichol & Dhariwal's code), so that the image
    is always destroyed in the end, and capped.

    Args:
        num_timesteps: int. Noising steps T; t = 0 is one step, t = T - 1 nearly pure noise.
        first_beta: float. At T = 1000. Defaults to `1e-4`.
        last_beta: float. At T = 1000. Defaults to `0.02`.

    Returns:
        float64 array `[num_timesteps]`: alphas_cumprod.
    """
    scale = 1000.0 / num_timesteps
    betas = np.linspace(scale * first_beta, scale * last_beta, num_timesteps)
    return np.cumprod(1.0 - np.minimum(betas, MAX_BETA))


def cosine_alphas_cumprod(num_timesteps: int, offset: float = 0.008) -> np.ndarray:
    """Cosine schedule (Nichol & Dhariwal 2021, eq. 17).

    Args:
        num_timesteps: int. Noising steps T.
        offset: float. Keeps the first steps from being noise-free. Defaults to `0.008`.

    Returns:
        float64 array `[num_timesteps]`: alphas_cumprod.
    """
    time = np.arange(num_timesteps + 1) / num_timesteps  # 0 .. 1, time 0 being the clean image
    return _with_capped_betas(np.cos((time + offset) / (1.0 + offset) * np.pi / 2) ** 2)


def sigmoid_alphas_cumprod(num_timesteps: int, start: float = -3.0, end: float = 3.0) -> np.ndarray:
    """Sigmoid schedule (Jabri et al. 2023, "Scalable Adaptive Computation", appendix B; tau = 1).

    Args:
        num_timesteps: int. Noising steps T.
        start: float. Where on the sigmoid the clean image lies. Defaults to `-3.0`.
        end: float. Where the noise lies. Defaults to `3.0`.

    Returns:
        float64 array `[num_timesteps]`: alphas_cumprod.
    """
    time = np.arange(num_timesteps + 1) / num_timesteps
    falling = 1.0 / (1.0 + np.exp(start + time * (end - start)))
    return _with_capped_betas((falling - falling[-1]) / (falling[0] - falling[-1]))


SCHEDULES: dict[str, Callable[..., np.ndarray]] = {
    "linear": linear_alphas_cumprod,
    "cosine": cosine_alphas_cumprod,
    "sigmoid": sigmoid_alphas_cumprod,
}


def zero_terminal_snr(alphas_cumprod: np.ndarray) -> np.ndarray:
    """Shifts and scales a schedule so that it ends in pure noise (Lin et al. 2024, algorithm 1).

    Args:
        alphas_cumprod: float64 array `[T]`.

    Returns:
        float64 array `[T]`: the first value is kept, the last is exactly 0.
    """
    root = np.sqrt(alphas_cumprod)
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


def make_schedule(
    name: str, num_timesteps: int = 1000, zero_terminal_snr: bool = False, **options: float
) -> NoiseSchedule:
    """Makes the noise schedule `name` of `SCHEDULES`.

    Args:
        name: str. A key of `SCHEDULES`.
        num_timesteps: int. Noising steps T, at least 2. Defaults to `1000`.
        zero_terminal_snr: bool. Whether to end in pure noise; needs an "x0" or "v" target.
        **options: float. The schedule's own parameters, such as `offset` of `"cosine"`.

    Raises:
        ValueError: an unknown name, or invalid parameters.
    """
    make = SCHEDULES[check_name("schedule", name, SCHEDULES)]
    for option in options:
        check_name("schedule_options", option, [*inspect.signature(make).parameters][1:])
    alphas_cumprod = make(num_timesteps, **options)
    return NoiseSchedule(
        _zero_terminal_snr(alphas_cumprod) if zero_terminal_snr else alphas_cumprod
    )


_zero_terminal_snr = zero_terminal_snr  # `make_schedule` has an argument of that name


def _with_capped_betas(alpha_bar: np.ndarray) -> np.ndarray:
    """`[T + 1]` values from the clean image on ► alphas_cumprod `[T]`, with betas capped."""
    betas = np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], MAX_BETA)
    return np.cumprod(1.0 - betas)
