"""`python -m kdiffusion image_to_image ARTIFACT IMAGE`: variations of an image (SDEdit).

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.editing import image_to_image
from kdiffusion.images import to_uint8
from kdiffusion.terminal import counted

from .inputs import (
    AS_RECOMMENDED,
    Labels,
    Model,
    Sampling,
    Trust,
    labels_from_text,
    read_given_image,
)
from .outputs import (
    choose_output,
    grid_beside,
    one_label_after_another,
    refuse_outputs,
    write_outputs,
)


def main(
    artifact: Model,
    image: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")],
    labels: Labels,
    noise_level: Annotated[float, tyro.conf.arg(aliases=["--strength"])] = 0.5,
    per_label: int = 8,
    seed: int = 0,
    resize: bool = False,
    scale: int | None = None,
    out: Path | None = None,
    npz: Path | None = None,
    overwrite: bool = False,
    trust: Trust = False,
    sampling: Sampling = AS_RECOMMENDED,
) -> None:
    """Adds part of the noise to an image, and denoises it as another class (SDEdit).

    The grid has a row for each class: the image, then its variations.

    Args:
        image: image file of the model's image size.
        labels: classes to turn it into: names or numbers, `all`, or `none`.
        noise_level: share of the noising steps, above 0 and at most 1. Near 0 the image hardly
            changes; at 1 hardly anything of it is left.
        per_label: variations for each class.
        seed: seed of the first variation; the next ones have seed + 1, seed + 2, ...
        resize: crop and resize an image whose size differs from the model's.
        scale: upscaling factor; by default, images become at least 48 pixels wide.
        out: PNG, JPEG or WebP file to write; by default variations.png, or variations_2.png and
            so on if that exists.
        npz: file for the arrays `images` (uint8 [N, H, W, C]), `labels` and `seeds`.
        overwrite: replace existing files.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    given = read_given_image(image, card, resize)
    out = choose_output(out, "variations.png", overwrite)
    refuse_outputs(npz, overwrite=overwrite)
    label_of_image, seeds = one_label_after_another(numbers, per_label, seed)
    start = time.perf_counter()
    images = to_uint8(
        image_to_image(
            denoiser, given, label_of_image, seeds,
            noise_level=noise_level, **sampling.given(),
        )
    )  # fmt: skip
    seconds = time.perf_counter() - start
    grid = grid_beside([to_uint8(given)], images, numbers, card.class_names, scale)
    arrays = {"images": images, "labels": label_of_image, "seeds": np.array(seeds, np.uint64)}
    written = write_outputs({out: grid, npz: arrays}, overwrite)
    print(f"{counted(len(images), 'image')} in {seconds:.1f} s: {written}")
