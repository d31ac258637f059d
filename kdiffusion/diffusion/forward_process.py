"""The forward process: from an image to noise, and the posterior of one step back (Ho et al. 2020).

Every quantity between two noise levels takes a pair of timesteps (t, s) with s < t, so that a
subset of the steps needs no schedule of its own; s = -1 is the clean image, alpha_bar 1.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdiffusion.tables import check_name

VARIANCES = ("fixed_small", "fixed_large")


def q_sample(x0: Any, noise: Any, alpha_bar: Any) -> Any:
    """x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4), also of tensors."""
    return alpha_bar**0.5 * x0 + (1.0 - alpha_bar) ** 0.5 * noise


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The process q(x_t | x_0) = N(sqrt(abar_t) x_0, (1 - abar_t) I) (Ho et al. 2020, eq. 4).

    Args:
        alphas_cumprod: float64 array `[T]`, falling, in (0, 1); the last may be 0.

    Raises:
        ValueError: the numbers aren't such a sequence, for example because they are betas.
    """

    alphas_cumprod: np.ndarray

    def __post_init__(self):
        alphas_cumprod = np.array(self.alphas_cumprod, dtype=np.float64)  # a copy: ours to freeze
        falls = np.all(np.diff(alphas_cumprod) < 0)
        if not (falls and alphas_cumprod[0] < 1 and alphas_cumprod[-1] >= 0):
            raise ValueError(
                "`alphas_cumprod` must start below 1, fall at every timestep, and end at 0 or "
                f"above. Received: {len(alphas_cumprod)} numbers from {alphas_cumprod[0]:g} to "
                f"{alphas_cumprod[-1]:g}"
            )
        alphas_cumprod.flags.writeable = False
        object.__setattr__(self, "alphas_cumprod", alphas_cumprod)

    def __eq__(self, other):
        if not isinstance(other, NoiseSchedule):
            return NotImplemented
        return np.array_equal(self.alphas_cumprod, other.alphas_cumprod)

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
        return self._alphas_cumprod_and_clean[np.asarray(t)]

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
            float. For the first noising step (t = 0), whose s is -1, "fixed_small" is 0.
        """
        check_name("variance", variance, VARIANCES)
        abar_t, abar_s = self._pair(t, s)
        beta = 1.0 - abar_t / abar_s
        return beta if variance == "fixed_large" else beta * (1.0 - abar_s) / (1.0 - abar_t)

    def _pair(self, t: int, s: int | None) -> tuple[float, float]:
        return self.alpha_bar(t), self.alpha_bar(t - 1 if s is None else s)


def _over_batch(values, images):
    """A scalar, or `[B]` values in the shape `[B, 1, ...]` that broadcasts over `images`."""
    values = np.asarray(values)
    return values.reshape(values.shape + (1,) * (np.ndim(images) - values.ndim) * (values.ndim > 0))
