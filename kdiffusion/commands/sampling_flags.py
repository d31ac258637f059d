"""The flags that all commands share which sample: the model, the classes, the sampling options."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from kdiffusion.diffusion.options import SamplingOptions

if TYPE_CHECKING:
    from kdiffusion.diffusion.card import DenoiserCard

# A word, not a Path, which would make `./digits`, a file, into `digits`, the released model.
Artifact = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
Model = Annotated[
    str,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="MODEL",
        help="an exported file or folder, such as denoiser.onnx; a run; the name of a released "
        "model (`kdiffusion models` lists them); or one on the Hugging Face Hub, hf://owner/name.",
    ),
]
Trust = Annotated[bool, tyro.conf.arg(help="run a SavedModel, which is a program.")]
Labels = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingFlags(SamplingOptions):
    """How images are sampled; what is not given is what the model recommends.

    Args:
        batch_size: images that are sampled at a time. It does not change them.
    """

    batch_size: int = 64

    def options(self, **defaults: Any) -> SamplingOptions:
        """The options without the batch size; `defaults` stand where none was given."""
        given = {**defaults, **self.given()}
        given.pop("batch_size", None)
        return SamplingOptions(**given)

    def described(self, card: DenoiserCard, **defaults: Any) -> str:
        """Sampler, steps and guidance in words, as they are for this card."""
        options = self.options(**defaults).resolve(card)
        return (
            f"{options.sampler}, {options.steps} steps, "
            f"guidance strength {options.guidance_strength:g}"
        )


AS_RECOMMENDED = SamplingFlags()
Sampling = Annotated[SamplingFlags, tyro.conf.OmitArgPrefixes]
