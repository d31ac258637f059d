"""What a sampler goes by from one timestep to the next, and a linear sampler as rows of numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.prediction import Estimate


@dataclass(frozen=True)
class Transition:
    """From x at timestep t to s < t.

    Attributes:
        estimate: `Estimate`: what the network says of x at t.
        s: int. -1 is the clean image.
        schedule: `NoiseSchedule`.
        history: the `Estimate`s of the last two steps at most, newest last.
        normal: function without arguments that draws fresh noise, float64 `[B, H, W, C]`, each
            image's from its own stream.
    """

    estimate: Estimate
    s: int
    schedule: NoiseSchedule
    history: tuple[Estimate, ...] = ()
    normal: Callable[[], Any] | None = None

    @property
    def t(self) -> int:
        return self.estimate.t

    def posterior(self, x0: np.ndarray, variance: str) -> np.ndarray:
        """A draw of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7), but for the last step's: its mean.

        Args:
            x0: float64 `[B, H, W, C]`.
            variance: str. A key of `VARIANCES`.
        """
        mean = self.schedule.posterior_mean(x0, self.estimate.x, self.t, self.s)
        if self.s < 0:
            return mean
        deviation = np.sqrt(self.schedule.posterior_variance(self.t, variance, self.s))
        return mean + deviation * self.normal()  # pyright: ignore[reportOptionalCall]


# What the next x of a linear sampler is a sum of: x and x_0 now and of two steps before. x_1 is
# the x of the step before as it was corrected.
STATE = ("x", "x0", "x_1", "x0_1", "x_2", "x0_2")


def linear_rows(
    step: Callable[[Transition], tuple[Any, Estimate]],
    pairs: Sequence[tuple[int, int]],
    schedule: NoiseSchedule,
) -> tuple[np.ndarray, np.ndarray]:
    """A sampler that draws no noise, as numbers: asked once in each step for the basis of `STATE`.

    Args:
        step: of a row of `SAMPLERS`.
        pairs: `[S]` steps (t, s).
        schedule: `NoiseSchedule`.

    Returns:
        Two float64 arrays `[S, 6]`: the corrected x at t, and x at s, of the state.
    """
    x, x0, *remembered = np.eye(len(STATE))  # each in turn alone not 0
    corrected, rows, before = [], [], []
    for t, s in pairs:
        states = zip([t, *before], [x, *remembered[::2]], [x0, *remembered[1::2]], strict=False)
        now, *history = [_estimate(schedule, *state) for state in states]
        row, estimate = step(Transition(now, s, schedule, tuple(history[::-1])))
        corrected.append(estimate.x)
        rows.append(row)
        before = [t, *before]
    return np.array(corrected), np.array(rows)


def _estimate(schedule, t, x, x0):
    alpha_bar = schedule.alpha_bar(t)
    return Estimate(t, x, x0, (x - np.sqrt(alpha_bar) * x0) / np.sqrt(1.0 - alpha_bar))
