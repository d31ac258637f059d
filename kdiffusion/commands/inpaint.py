"""`python -m kdiffusion inpaint ARTIFACT IMAGE MASK`: fills in a part of an image (RePaint).

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.editing import inpaint
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
    read_mask,
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
    mask: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MASK")],
    labels: Labels,
    per_label: int = 8,
    seed: int = 0,
    resamplings: int = 5,
    jump_steps: int = 5,
    resize: bool = False,
    scale: int | None = None,
    out: Path | None = None,
    npz: Path | None = None,
    overwrite: bool = False,
    trust: Trust = False,
    sampling: Sampling = AS_RECOMMENDED,
) -> None:
    """Fills in the masked part of an image (RePaint), with ddpm or ddim.

    The grid has a row for each class: the image, the masked image, and the results.

    Args:
        image: image file of the model's image size.
        mask: image file of the same size: white is filled in, black is kept.
        labels: classes to fill in: names or numbers, `all`, or `none`.
        per_label: results for each class.
        seed: seed of the first result; the next ones have seed + 1, seed + 2, ...
        resamplings: how often to repeat each group of steps, so that the new part fits the old.
            The cost grows with it.
        jump_steps: steps in each group.
        resize: crop and resize image and mask if their size differs from the model's.
        scale: upscaling factor; by default, images become at least 48 pixels wide.
        out: PNG, JPEG or WebP file to write; by default inpainted.png, or inpainted_2.png and
            so on if that exists.
        npz: file for the arrays `images` (uint8 [N, H, W, C]), `labels` and `seeds`.
        overwrite: replace existing files.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    given, marked = read_given_image(image, card, resize), read_mask(mask, card, resize)
    out = choose_output(out, "inpainted.png", overwrite)
    refuse_outputs(npz, overwrite=overwrite)
    label_of_image, seeds = one_label_after_another(numbers, per_label, seed)
    start = time.perf_counter()
    images = to_uint8(
        inpaint(
            denoiser, given, ~marked, label_of_image, seeds,
            resamplings=resamplings, jump_steps=jump_steps, **sampling.given(),
        )
    )  # fmt: skip
    seconds = time.perf_counter() - start
    whole = to_uint8(given)
    with_hole = np.where(marked[..., None], np.uint8(128), whole)
    grid = grid_beside([whole, with_hole], images, numbers, card.class_names, scale)
    arrays = {"images": images, "labels": label_of_image, "seeds": np.array(seeds, np.uint64)}
    written = write_outputs({out: grid, npz: arrays}, overwrite)
    how = sampling.described(card, sampler="ddpm")
    print(f"{counted(len(images), 'image')} ({how}) in {seconds:.1f} s: {written}")
