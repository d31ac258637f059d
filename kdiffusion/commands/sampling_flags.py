"""The flags of every sampling choice: one place, and every command that draws has them all."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from kdiffusion.diffusion.plan import SamplingOptions
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.schedules import VARIANCES
from kdiffusion.diffusion.spacing import SPACINGS

if TYPE_CHECKING:  # A type checker can't know the tables' names.
    SamplerName = SpacingName = VarianceName = str
else:
    SamplerName = tyro.extras.literal_type_from_choices(list(SAMPLERS))
    SpacingName = tyro.extras.literal_type_from_choices(list(SPACINGS))
    VarianceName = tyro.extras.literal_type_from_choices(list(VARIANCES))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingFlags(SamplingOptions):
    """How images are drawn; what is not given is what the file recommends.

    Args:
        sampler: how to go from noise to image.
        steps: from noise to image, at most the T of the training.
        spacing: which of the T timesteps are visited; trailing if not given.
        guidance_strength: w of classifier-free guidance, where 0 is the plain conditional model.
            Many libraries write s = 1 + w.
        guidance_interval: low and high noise level (sigma) between which guidance applies;
            elsewhere a step costs half. 0 inf is everywhere.
        guidance_rescale: 0 .. 1, how far guidance is kept from raising the contrast.
        eta: 0 .. 1, how much fresh noise ddim adds; 0 if not given.
        variance: of the noise that ddpm adds; fixed_small if not given.
        clip: predicted images are kept in the range of pixels on the way, unless this is given.
        dynamic_threshold: clip at this quantile of an image's pixels, such as 0.995, and scale back
            into range: against saturated colours under strong guidance.
        batch_size: images that are drawn at a time. It does not change them.
    """

    # Names that the parser can check and list; the other fields are as inherited.
    sampler: SamplerName | None = None
    spacing: SpacingName | None = None
    variance: VarianceName | None = None
    # The parser's hint, True, would be read as what the flag does.
    clip: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = True
    batch_size: int = 64

    def given(self) -> dict[str, Any]:
        """The arguments for the functions of `kdiffusion.diffusion`: what was given, no more.

        What was not is left to them: inpainting and inversion have defaults of their own.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value != defaults[name]}

    def options(self) -> SamplingOptions:
        """What was given of the sampling itself, without how many images are drawn at a time."""
        given = self.given()
        given.pop("batch_size", None)
        return SamplingOptions(**given)


AS_RECOMMENDED = SamplingFlags()
Sampling = Annotated[SamplingFlags, tyro.conf.arg(name="")]

# A word, not a Path, which would make `./digits`, a file, into `digits`, the released model.
Artifact = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]

# The flags that say what is drawn and how large it is written, with their old spellings.
Labels = Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--label"])]
