"""The flags that all commands share which sample: the artifact, the classes, the options."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import tyro

from kdiffusion.diffusion.options import SamplingOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingFlags(SamplingOptions):
    """How images are sampled; what is not given is what the file recommends.

    Args:
        batch_size: images that are sampled at a time. It does not change them.
    """

    batch_size: int = 64

    def options(self) -> SamplingOptions:
        """The options without the batch size."""
        fields = dataclasses.fields(SamplingOptions)
        return SamplingOptions(**{field.name: getattr(self, field.name) for field in fields})


AS_RECOMMENDED = SamplingFlags()
Sampling = Annotated[SamplingFlags, tyro.conf.arg(name="")]

# A word, not a Path, which would make `./digits`, a file, into `digits`, the released model.
Artifact = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
Labels = Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--label"])]
