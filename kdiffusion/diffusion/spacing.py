"""Which of the T timesteps a sampler visits: a subset, and the pairs (t, s) it steps between."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.tables import check_name

RHO, SIGMA_MAX = 7.0, 80.0  # Karras et al. 2022, table 1


def linspace(noise_levels: np.ndarray, steps: int) -> np.ndarray:
    """Evenly spaced from T-1 to 0, both included (Nichol & Dhariwal 2021, section 4)."""
    whole = max(steps - 1, 1)
    # One division, of whole numbers: a half is exact in every language.
    return (len(noise_levels) - 1) * (whole - np.arange(steps)) / whole


def leading(noise_levels: np.ndarray, steps: int) -> np.ndarray:
    """Every floor(T / steps)-th step from 0 (Song et al. 2021, "linear"); misses the noisy end."""
    return np.arange(steps)[::-1] * (len(noise_levels) // steps)


def trailing(noise_levels: np.ndarray, steps: int) -> np.ndarray:
    """Evenly spaced from T-1 to the clean image at -1 (Lin et al. 2024, table 2)."""
    return np.linspace(len(noise_levels), 0, steps, endpoint=False) - 1


def quadratic(noise_levels: np.ndarray, steps: int) -> np.ndarray:
    """Squares of evenly spaced numbers, dense at the clean end (Song et al. 2021, appendix D.2).

    From T-1 on: the paper begins at 0.8 T, where a cosine schedule is still far from pure noise.
    """
    whole = max(steps - 1, 1)
    return (len(noise_levels) - 1) * (whole - np.arange(steps)) ** 2 / whole**2


def karras(noise_levels: np.ndarray, steps: int) -> np.ndarray:
    """The noise levels of Karras et al. 2022, eq. 5, each at the nearest timestep in log sigma.

    The first step is T-1. If the schedule is noisier there than the paper's `SIGMA_MAX`, the other
    levels begin at `SIGMA_MAX`: a cosine schedule ends at sigma = 20,000.
    """
    low, high = noise_levels[0], min(noise_levels[-1], SIGMA_MAX)
    ramp = np.linspace(high ** (1 / RHO), low ** (1 / RHO), steps) ** RHO
    finite = np.log(noise_levels[np.isfinite(noise_levels)])
    timesteps = np.interp(np.log(ramp), finite, np.arange(len(finite)))
    timesteps[0] = len(noise_levels) - 1
    return timesteps


# Each takes (noise_levels [T], steps) and gives `steps` falling numbers, still to be rounded.
SPACINGS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "linspace": linspace,
    "leading": leading,
    "trailing": trailing,
    "quadratic": quadratic,
    "karras": karras,
}


def timestep_pairs(
    schedule: NoiseSchedule, steps: int, spacing: str = "trailing", start: int | None = None
) -> list[tuple[int, int]]:
    """The steps (t, s) from noise to the clean image, which is s = -1.

    Args:
        schedule: `NoiseSchedule` with T timesteps.
        steps: int, 1 .. T. How many steps.
        spacing: str. A key of `SPACINGS`. Defaults to `"trailing"`.
        start: int. The noisiest timestep to use; T-1 unless given.

    Returns:
        `steps` pairs of ints, t falling, each s the next t.

    Raises:
        ValueError: for an unknown spacing, or more steps than there are timesteps.
    """
    check_name("spacing", spacing, SPACINGS)
    start = schedule.num_timesteps - 1 if start is None else start
    if not 1 <= steps <= start + 1:
        raise ValueError(f"`steps` must be from 1 to {start + 1}. Received: steps={steps}")
    timesteps = _distinct(SPACINGS[spacing](schedule.noise_levels[: start + 1], steps), start)
    return pairs_between(timesteps)


def pairs_between(timesteps: Sequence[int]) -> list[tuple[int, int]]:
    """The steps (t, s) through named timesteps to the clean image, which is s = -1."""
    return list(zip(timesteps, [*timesteps[1:], -1], strict=True))


def check_timesteps(timesteps: Sequence[int], num_timesteps: int) -> None:
    """Refuses named timesteps that don't fall, one by one, within T-1 .. 0."""
    edges = (num_timesteps, *timesteps, -1)
    if not len(timesteps) or any(t <= s for t, s in itertools.pairwise(edges)):
        raise ValueError(
            f"`timesteps` must fall from at most {num_timesteps - 1} to at least 0. "
            f"Received: timesteps={[*timesteps]}"
        )


def _distinct(timesteps: np.ndarray, last: int) -> list[int]:
    """Rounds to integers within 0 .. last and moves those that collide apart; falling."""
    rounded = np.rint(timesteps[::-1]).astype(int)  # rising
    order = np.arange(len(rounded))
    # `rounded - order` never falls exactly when `rounded` rises strictly.
    offset = np.clip(np.maximum.accumulate(rounded - order), 0, last + 1 - len(rounded))
    return (offset + order)[::-1].tolist()
