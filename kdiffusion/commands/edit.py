"""`python -m kdiffusion image_to_image`, `inpaint` and `interpolate`: new images from given ones.

They import neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion import editing, interpolation
from kdiffusion.images import image_grid, to_uint8
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
from .outputs import choose_output, grid_beside, one_label_after_another, write_outputs

Image = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
Mask = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MASK")]


def image_to_image(
    artifact: Model,
    image: Image,
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
    out = choose_output(out, "variations.png", overwrite, npz)
    label_of_image, seeds = one_label_after_another(numbers, per_label, seed)
    start = time.perf_counter()
    images = to_uint8(
        editing.image_to_image(
            denoiser, given, label_of_image, seeds,
            noise_level=noise_level, **sampling.given(),
        )
    )  # fmt: skip
    seconds = time.perf_counter() - start
    grid = grid_beside([to_uint8(given)], images, numbers, card.class_names, scale)
    arrays = {"images": images, "labels": label_of_image, "seeds": seeds}
    written = write_outputs({out: grid, npz: arrays}, overwrite)
    print(f"{counted(len(images), 'image')} in {seconds:.1f} s: {written}")


def inpaint(
    artifact: Model,
    image: Image,
    mask: Mask,
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
    out = choose_output(out, "inpainted.png", overwrite, npz)
    label_of_image, seeds = one_label_after_another(numbers, per_label, seed)
    start = time.perf_counter()
    images = to_uint8(
        editing.inpaint(
            denoiser, given, ~marked, label_of_image, seeds,
            resamplings=resamplings, jump_steps=jump_steps, **sampling.given(),
        )
    )  # fmt: skip
    seconds = time.perf_counter() - start
    whole = to_uint8(given)
    with_hole = np.where(marked[..., None], np.uint8(128), whole)
    grid = grid_beside([whole, with_hole], images, numbers, card.class_names, scale)
    arrays = {"images": images, "labels": label_of_image, "seeds": seeds}
    written = write_outputs({out: grid, npz: arrays}, overwrite)
    how = sampling.described(card, sampler="ddpm")
    print(f"{counted(len(images), 'image')} ({how}) in {seconds:.1f} s: {written}")


def interpolate(
    artifact: Model,
    labels: Labels,
    between_seeds: tuple[int, int] = (1, 2),
    images: tuple[Path, Path] | None = None,
    frames: int = 10,
    resize: bool = False,
    scale: int | None = None,
    out: Path | None = None,
    npz: Path | None = None,
    overwrite: bool = False,
    trust: Trust = False,
    sampling: Sampling = AS_RECOMMENDED,
) -> None:
    """Interpolates between two seeds, two classes, or two image files.

    For image files, it interpolates the noise from which DDIM samples them.

    Args:
        labels: class name or number, or `none`; two of them to interpolate between classes.
        between_seeds: seeds of the first and the last image. If they are equal, only the class
            changes.
        images: two image files to interpolate between, by default without guidance.
        frames: images in the row, including both ends.
        resize: crop and resize images whose size differs from the model's.
        scale: upscaling factor; by default, images become at least 48 pixels wide.
        out: PNG, JPEG or WebP file to write; by default walk.png, or walk_2.png and so on if
            that exists.
        npz: file for the array `images` (uint8 [N, H, W, C]).
        overwrite: replace existing files.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    label = numbers[0] if len(numbers) == 1 else tuple(numbers)
    given = images and np.stack([read_given_image(path, card, resize) for path in images])
    out = choose_output(out, "walk.png", overwrite, npz)
    options = {"frames": frames, **sampling.given()}
    start = time.perf_counter()
    if given is None:
        walk = to_uint8(interpolation.interpolate(denoiser, label, between_seeds, **options))
    else:
        walk = to_uint8(interpolation.interpolate_images(denoiser, given, label, **options))
        error = np.abs(walk[[0, -1]].astype(int) - to_uint8(given)).mean()
        print(f"The ends differ from the images by {error:.1f} of 255 levels on average.")
    seconds = time.perf_counter() - start
    strip = image_grid(walk, frames, scale=scale)
    written = write_outputs({out: strip, npz: {"images": walk}}, overwrite)
    print(f"{frames} frames in {seconds:.1f} s: {written}")
