"""Quality against cost: samplers, numbers of steps and guidance strengths, on one exported network.

    python -m benchmarks.sampling digits
    python -m benchmarks.sampling cifar10 --samplers unipc --steps 20 --strengths 0 1 2

Every row has the same seeds, classes in turn, and is measured as `kdiffusion evaluate` does. Rows
are printed in Markdown.
"""

import itertools
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion import load_dataset, load_denoiser, sample, to_uint8
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import network_evaluations
from kdiffusion.parts.evaluation.evaluation import measure
from kdiffusion.parts.evaluation.image_sets import ImageSet
from kdiffusion.parts.evaluation.real_images import read_real

FIGURES = ("frechet_distance", "kernel_distance", "share_as_asked", "recall", "coverage")


def main(
    artifact: Annotated[Path, tyro.conf.Positional],
    samplers: tuple[str, ...] = tuple(name for name, row in SAMPLERS.items() if not row.fitted),
    steps: tuple[int, ...] = (5, 10, 20, 50),
    strengths: tuple[float, ...] = (0.0,),
    interval: tuple[float, float] = (0.0, float("inf")),
    images: int = 1000,
):
    """Samples and measures each combination of sampler, steps and guidance strength.

    Args:
        artifact: exported file, or the name of a released model.
        samplers: keys of SAMPLERS.
        steps: of samplers that evaluate the network once in a step; others take half as many.
        strengths: of guidance, w.
        interval: noise levels between which guidance applies.
        images: samples in each row.
    """
    denoiser = load_denoiser(artifact)
    card = denoiser.card
    real = read_real(load_dataset(card.dataset), card.image_shape, card.class_names)
    labels = np.arange(images) % card.null_label
    print(f"| sampler | w | steps | evaluations | {' | '.join(FIGURES)} |".replace("_", " "))
    print("|---" * (4 + len(FIGURES)) + "|")
    for sampler, strength, count in itertools.product(samplers, strengths, steps):
        options = {
            "sampler": sampler, "steps": count, "guidance_strength": strength,
            "guidance_interval": interval,
        }  # fmt: skip
        drawn = sample(denoiser, labels, range(images), progress=False, **options)
        found, _ = measure(ImageSet(to_uint8(drawn), labels), real, progress=False)
        cells = (f"{found[name]:.3g}" if name in found else "–" for name in FIGURES)
        evaluations = network_evaluations(card, **options)
        row = f"| {sampler} | {strength:g} | {count} | {evaluations} | {' | '.join(cells)} |"
        print(row, flush=True)


if __name__ == "__main__":
    tyro.cli(main)
