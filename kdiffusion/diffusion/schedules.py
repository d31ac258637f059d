"""Noise schedules: how much of the image is left at each timestep (Ho et al. 2020, section 2).

A schedule is the float64 array `alphas_cumprod`; betas, noise levels and posteriors are derived.
Every quantity between two noise levels takes a pair of timesteps (t, s) with s < t, so that a
subset of the steps needs no schedule of its own; s = -1 is the clean image, alpha_bar 1.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdiffusion.checks import check_name, check_number, check_whole

MAX_BETA = 0.999  # Nichol & Dhariwal 2021: "to prevent singularities" at the noisy end.

VARIANCES = ("fixed_small", "fixed_large")


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The process q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I) (Ho et al. 2020, eq. 4).

    Args:
        alphas_cumprod: float64 array `[T]`, falling, in (0, 1); the last may be 0.

    Raises:
        ValueError: when the numbers aren't such a sequence.
    """

    alphas_cumprod: np.ndarray

    def __post_init__(self):
        alphas_cumprod = np.array(self.alphas_cumprod, dtype=np.float64)  # a copy: ours to freeze
        if alphas_cumprod.ndim != 1 or len(alphas_cumprod) < 2:
            raise ValueError(
                "`alphas_cumprod` must be a sequence of at least 2 numbers. "
                f"Received: an array of shape {alphas_cumprod.shape}"
            )
        falls = np.all(np.diff(alphas_cumprod) < 0)
        in_range = alphas_cumprod[0] < 1 and alphas_cumprod[-1] >= 0
        if not (np.all(np.isfinite(alphas_cumprod)) and falls and in_range):
            raise ValueError(
                "`alphas_cumprod` must be finite and fall strictly from below 1 to 0 or above. "
                f"Received: alphas_cumprod={alphas_cumprod}"
            )
        alphas_cumprod.flags.writeable = False
        object.__setattr__(self, "alphas_cumprod", alphas_cumprod)

    def __eq__(self, other):
        if not isinstance(other, NoiseSchedule):
            return NotImplemented
        return np.array_equal(self.alphas_cumprod, other.alphas_cumprod)

    def __hash__(self):
        return hash(self.alphas_cumprod.tobytes())

    @property
    def num_timesteps(self) -> int:
        """T. Timesteps are 0 .. T-1: t = 0 is one noising step, t = T-1 (nearly) pure noise."""
        return len(self.alphas_cumprod)

    @property
    def betas(self) -> np.ndarray:
        """beta_t = 1 - abar_t / abar_{t-1}, float64 `[T]`."""
        return 1.0 - self.alphas_cumprod / np.append(1.0, self.alphas_cumprod[:-1])

    @property
    def signal_to_noise(self) -> np.ndarray:
        """SNR(t) = abar_t / (1 - abar_t), float64 `[T]`."""
        return self.alphas_cumprod / (1.0 - self.alphas_cumprod)

    @property
    def noise_levels(self) -> np.ndarray:
        """sigma_t = sqrt((1 - abar_t) / abar_t), float64 `[T]`: Karras et al. 2022's sigma."""
        with np.errstate(divide="ignore"):  # zero terminal SNR: infinitely noisy
            return np.sqrt((1.0 - self.alphas_cumprod) / self.alphas_cumprod)

    @property
    def ends_in_pure_noise(self) -> bool:
        """Whether abar_{T-1} is exactly 0 (zero terminal SNR, Lin et al. 2024)."""
        return bool(self.alphas_cumprod[-1] == 0.0)

    @functools.cached_property
    def _alphas_cumprod_and_clean(self) -> np.ndarray:
        return np.append(self.alphas_cumprod, 1.0)  # index -1 is the clean image

    def alpha_bar(self, t: Any) -> Any:
        """abar_t for an integer or an integer array; t = -1 is the clean image, 1.0."""
        t = np.asarray(t)
        if np.any(t < -1) or np.any(t >= self.num_timesteps):
            raise ValueError(
                f"`t` must lie between -1 and {self.num_timesteps - 1}. Received: t={t}"
            )
        return self._alphas_cumprod_and_clean[t]

    def half_log_snr(self, t: int) -> float:
        """lambda_t = log(sqrt(abar_t) / sqrt(1 - abar_t)) (Lu et al. 2022); +inf for t = -1."""
        alpha_bar = self.alpha_bar(t)
        with np.errstate(divide="ignore"):
            half: Any = 0.5 * (np.log(alpha_bar) - np.log1p(-alpha_bar))
        return half

    def q_sample(self, x0: np.ndarray, t: Any, noise: np.ndarray) -> np.ndarray:
        """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4).

        Args:
            x0: array `[B, ...]`, clean images.
            t: int, or int array `[B]`; -1 gives x0 back.
            noise: array `[B, ...]`, standard normal.
        """
        return q_sample(x0, noise, _over_batch(self.alpha_bar(t), x0))

    def posterior_mean(
        self, x0: np.ndarray, x_t: np.ndarray, t: int, s: int | None = None
    ) -> np.ndarray:
        """The mean of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7; s = t - 1 unless given)."""
        abar_t, abar_s = self._pair(t, s)
        beta = 1.0 - abar_t / abar_s
        return (
            np.sqrt(abar_s) * beta / (1.0 - abar_t) * x0
            + np.sqrt(abar_t / abar_s) * (1.0 - abar_s) / (1.0 - abar_t) * x_t
        )

    def posterior_variance(
        self, t: int, variance: str = "fixed_small", s: int | None = None
    ) -> float:
        """The variance of p(x_s | x_t) (Ho et al. 2020, section 3.2; s = t - 1 unless given).

        Args:
            t: int, the noisier timestep.
            variance: str. "fixed_small" is that of q(x_s | x_t, x_0), eq. 7; "fixed_large" is beta,
                which collapses when the steps are few.
            s: int, -1 <= s < t. Defaults to `t - 1`.

        Returns:
            float. For the first noising step (t = 0) "fixed_small" is 0 and "fixed_large" takes
            "fixed_small" of t = 1, as the official code does.
        """
        check_variance(variance)
        abar_t, abar_s = self._pair(t, s)
        beta = 1.0 - abar_t / abar_s
        if variance == "fixed_large":
            return self.posterior_variance(1, "fixed_small") if t == 0 else beta
        return beta * (1.0 - abar_s) / (1.0 - abar_t)

    def _pair(self, t: int, s: int | None) -> tuple[float, float]:
        s = t - 1 if s is None else s
        if not -1 <= s < t:
            raise ValueError(f"`s` must be at least -1 and below `t`. Received: t={t}, s={s}")
        return self.alpha_bar(t), self.alpha_bar(s)


def q_sample(x0: Any, noise: Any, alpha_bar: Any) -> Any:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4), also of tensors."""
    return alpha_bar**0.5 * x0 + (1.0 - alpha_bar) ** 0.5 * noise


def check_variance(variance: str) -> None:
    """Refuses a name that isn't one of `VARIANCES`."""
    check_name("variance", variance, VARIANCES)


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


SCHEDULES: dict[str, Callable[[int], np.ndarray]] = {
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
    """The schedule called `name` in `SCHEDULES`.

    Args:
        name: str. A key of `SCHEDULES`.
        num_timesteps: int. Noising steps T, at least 2. Defaults to `1000`.
        zero_terminal_snr: bool. Whether to end in pure noise; needs an "x0" or "v" target.
        **options: float. The schedule's own parameters, by name: such as `offset` of `"cosine"`.

    Raises:
        ValueError: for an unknown name, a wrong number of steps, a parameter that the schedule
            hasn't, or values that make none.
    """
    check_name("schedule", name, SCHEDULES)
    num_timesteps = check_whole("num_timesteps", num_timesteps, 2)
    known = list(inspect.signature(SCHEDULES[name]).parameters)[1:]
    for option in options:
        if option not in known:
            raise ValueError(
                f"`{option}` must be a parameter of the {name} schedule: "
                f"{', '.join(known) or 'it has none'}. Received: {option}={options[option]!r}"
            )
        check_number(option, options[option], "a finite number")
    with np.errstate(all="ignore"):  # what is no number is refused below
        alphas_cumprod = SCHEDULES[name](num_timesteps, **options)
    if np.shape(alphas_cumprod) != (num_timesteps,):
        raise ValueError(
            f"The schedule {name} must give `num_timesteps` numbers, {num_timesteps}. "
            f"Received: an array of shape {np.shape(alphas_cumprod)}"
        )
    return NoiseSchedule(
        _zero_terminal_snr(alphas_cumprod) if zero_terminal_snr else alphas_cumprod
    )


def options_from_text(texts: Iterable[str]) -> dict[str, float]:
    """What `make_schedule` takes of a schedule's parameters, of texts NAME=VALUE.

    Raises:
        ValueError: naming a text that is no such pair, that gives no parameter of a schedule, or
            that gives one again.
    """
    options = {}
    others = list(inspect.signature(make_schedule).parameters)[:3]
    for text in texts:
        name, _, value = str(text).partition("=")
        name = name.strip()
        if name in others:
            raise ValueError(
                f"`schedule_options` must be parameters of the schedule itself. Received: {text}"
            )
        if name in options:
            raise ValueError(f"`schedule_options` must give {name} once. Received: {text} too")
        try:
            options[name] = float(value)
        except ValueError:
            raise ValueError(
                f"`schedule_options` must be NAME=NUMBER, such as offset=0.02. Received: {text}"
            ) from None
    return options


_zero_terminal_snr = zero_terminal_snr  # `make_schedule` has an argument of that name


def _with_capped_betas(alpha_bar: np.ndarray) -> np.ndarray:
    """`[T + 1]` values from the clean image on ► alphas_cumprod `[T]`, with betas capped."""
    betas = np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], MAX_BETA)
    return np.cumprod(1.0 - betas)


def _over_batch(values, images):
    """A scalar, or `[B]` values in the shape `[B, 1, ...]` that broadcasts over `images`."""
    values = np.asarray(values)
    return values.reshape(values.shape + (1,) * (np.ndim(images) - values.ndim) * (values.ndim > 0))
