"""Every choice of how an image is sampled, declared once.

Flags, Python's keyword arguments, a run's configuration and a card's recommendation are these.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np

from kdiffusion.diffusion.forward_process import VARIANCES, NoiseSchedule
from kdiffusion.diffusion.guidance import EVERYWHERE, within_interval
from kdiffusion.diffusion.samplers import SAMPLERS, find_sampler
from kdiffusion.diffusion.spacing import SPACINGS, check_timesteps, pairs_between, timestep_pairs

if TYPE_CHECKING:
    from kdiffusion.diffusion.card import DenoiserCard

# The command line takes the names from the tables, which a type checker doesn't look into.
SamplerName: TypeAlias = Literal[tuple(SAMPLERS)]  # pyright: ignore[reportInvalidTypeForm]
SpacingName: TypeAlias = Literal[tuple(SPACINGS)]  # pyright: ignore[reportInvalidTypeForm]
VarianceName: TypeAlias = Literal[VARIANCES]  # pyright: ignore[reportInvalidTypeForm]


@dataclass(frozen=True, kw_only=True)
class RecommendedSampling:
    """How a model is best sampled: what its training previews use and its card carries.

    Args:
        sampler: sampling method.
        steps: number of steps, at most the T of the training.
        timesteps: timesteps to visit, such as 999 640 320 90; replaces steps and spacing.
        guidance_strength: w of classifier-free guidance (Ho & Salimans 2022); 0 is the plain
            conditional model. Many libraries use a guidance scale of 1 + w.
        guidance_interval: noise levels (sigma) between which to guide; steps outside cost half.
            Both are finite, but for 0 inf, which is everywhere.
    """

    sampler: SamplerName | None = None
    steps: int | None = None
    timesteps: tuple[int, ...] | None = None
    guidance_strength: float | None = None
    guidance_interval: tuple[float, float] | None = None

    def __post_init__(self):
        interval = tuple(self.guidance_interval or EVERYWHERE)
        numbers = [self.guidance_strength or 0.0, *(interval if interval != EVERYWHERE else ())]
        if not np.isfinite(numbers).all():
            raise ValueError(
                "`guidance_strength` and `guidance_interval` must be finite, but for an interval "
                f"of 0 inf, which is everywhere. Received: {numbers}"
            )


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(RecommendedSampling):
    """How images are sampled; None stands for the card's recommendation, or the sampler's default.

    Args:
        spacing: how the steps are spread over the T timesteps.
        eta: fresh noise that ddim adds, from 0 to 1; by default 0.
        variance: variance of the noise that ddpm adds.
        clip: whether to clip the predicted image to the pixel range at each step, if the card
            recommends it.
    """

    spacing: SpacingName | None = None
    eta: float | None = None
    variance: VarianceName | None = None
    clip: bool = True

    def given(self) -> dict[str, Any]:
        """The options that differ from their defaults, as keyword arguments."""
        fields = ((field, getattr(self, field.name)) for field in dataclasses.fields(self))
        return {field.name: value for field, value in fields if value != field.default}

    def resolve(self, card: DenoiserCard, start: int | None = None) -> Self:
        """Fills what was left out from the card; options that can't be on this model are an error.

        Whatever samples calls this before it samples or writes. Of what this returns, None stands
        for nothing of the card's.

        Args:
            card: `DenoiserCard`.
            start: int. The noisiest timestep that will be visited; T-1 unless given.
        """
        recommended = {
            field.name: getattr(card, field.name)
            for field in dataclasses.fields(RecommendedSampling)
        } | {"spacing": card.spacing}
        if self.steps is not None or self.spacing is not None:
            recommended["timesteps"] = None  # the caller's own choice of timesteps
        if start is not None:
            recommended["steps"] = min(card.steps, start + 1)
        given = {name: value for name, value in vars(self).items() if value is not None}
        chosen: dict[str, Any] = {**recommended, **given, "clip": self.clip and card.clip}
        own = tuple(chosen["timesteps"] or ()) == tuple(card.timesteps or ())
        if self.sampler is None and find_sampler(card.sampler).fitted and not own:
            chosen["sampler"] = "unipc"  # a fitted one serves its own timesteps alone
        if "variance" in find_sampler(chosen["sampler"]).options:
            chosen.setdefault("variance", card.variance)
        if chosen["timesteps"] is not None:
            visited = tuple(t for t in chosen["timesteps"] if start is None or t <= start)
            check_timesteps(visited, card.schedule.num_timesteps)
            if self.steps not in (None, len(visited)) or self.spacing is not None:
                raise ValueError(
                    "`steps` and `spacing` must be left out where `timesteps` are given. Received: "
                    f"steps={self.steps}, spacing={self.spacing}, timesteps={self.timesteps}"
                )
            chosen |= {"timesteps": visited, "steps": len(visited), "spacing": None}
        if tuple(chosen["guidance_interval"] or ()) == EVERYWHERE:
            chosen["guidance_interval"] = None
        self._check_sampler_options(chosen["sampler"])
        resolved = dataclasses.replace(self, **chosen)
        pairs = resolved.pairs(card.schedule, start)
        if find_sampler(chosen["sampler"]).fitted:
            card.corrections(pairs)
        self._check_guidance_interval(card.schedule, resolved.guidance_interval, pairs)
        return resolved

    def pairs(self, schedule: NoiseSchedule, start: int | None = None) -> list[tuple[int, int]]:
        """The steps (t, s) of options that `resolve` returned."""
        chosen: Any = self  # what was None is not any more
        if chosen.timesteps is None:
            return timestep_pairs(schedule, chosen.steps, chosen.spacing, start)
        return pairs_between(chosen.timesteps)

    def _check_guidance_interval(self, schedule, interval, pairs):
        """Guidance that would never act is an error; the card's own may miss these steps."""
        inside = within_interval(schedule.noise_levels, interval)
        asked = slice(None) if self.guidance_interval is None else [t for t, _ in pairs]
        if not inside[asked].any():
            raise ValueError(
                "`guidance_interval` must hold a noise level that these steps visit. Received: "
                f"guidance_interval={interval}, {len(pairs)} steps"
            )

    def _check_sampler_options(self, name):
        """An option that this sampler would silently ignore is an error."""
        own = find_sampler(name).options
        for option in dict.fromkeys(each for row in SAMPLERS.values() for each in row.options):
            value = getattr(self, option, None)
            if value is not None and option not in own:
                raise ValueError(
                    f"`{option}` has no meaning for the sampler {name!r}. "
                    f"Received: {option}={value!r}"
                )
        if self.eta is not None and not 0 <= self.eta <= 1:
            raise ValueError(f"`eta` must be from 0 to 1. Received: eta={self.eta!r}")
