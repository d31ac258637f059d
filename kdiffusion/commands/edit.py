"""`python -m kdiffusion image_to_image`, `inpaint`, `interpolate`, `upsample`: images from images.

They import neither TensorFlow nor Keras, unless the file is a SavedModel or weights.
"""

import dataclasses
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion import editing, interpolation, upsampling
from kdiffusion.images import image_grid, read_image, to_model_range, to_uint8

from .inputs import (
    Given,
    Labels,
    Model,
    Positive,
    Sampling,
    Trust,
    ends_from_text,
    labels_from_text,
    read_given_image,
    read_mask,
)
from .outputs import ImageOutput, write_outputs

Image = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE")]
Mask = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MASK")]


def image_to_image(
    artifact: Model,
    image: Image,
    labels: Labels,
    strength: float = 0.5,
    per_label: Positive = 8,
    seed: int = 0,
    resize: bool = False,
    trust: Trust = False,
    output: ImageOutput = ImageOutput("variations.png"),
    given: Given = Given(),
    sampling: Sampling = Sampling(),
) -> None:
    """Adds part of the noise to an image, and denoises it as another class (SDEdit).

    The grid has a row for each class: the image, then its variations.

    Args:
        image: image file of the model's image size.
        labels: classes to turn it into: names or numbers, `all`, or `none`.
        strength: share of the noising steps, above 0 and at most 1. Near 0 the image hardly
            changes; at 1 hardly anything of it is left.
        per_label: variations for each class.
        seed: seed of the first variation; the next ones have seed + 1, seed + 2, ...
        resize: crop and resize an image whose size differs from the model's.
    """
    denoiser = load_denoiser(artifact, trust)
    real, asked = read_given_image(image, denoiser.card, resize), given.read(denoiser.card)

    def vary(labels, seeds):
        conditions = {"label": labels, **asked}
        return editing.image_to_image(
            denoiser, real, conditions, seeds, strength=strength, **sampling.given()
        )

    output.write_by_class(vary, denoiser.card, labels, per_label, seed, beside=[to_uint8(real)])


def inpaint(
    artifact: Model,
    image: Image,
    mask: Mask,
    labels: Labels,
    per_label: Positive = 8,
    seed: int = 0,
    resamplings: Positive = 5,
    jump_steps: Positive = 5,
    resize: bool = False,
    trust: Trust = False,
    output: ImageOutput = ImageOutput("inpainted.png"),
    given: Given = Given(),
    sampling: Sampling = Sampling(),
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
        jump_steps: steps in each group, at most all but one.
        resize: crop and resize image and mask if their size differs from the model's.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    real, marked = read_given_image(image, card, resize), read_mask(mask, card, resize)
    asked = given.read(card)
    sampling = dataclasses.replace(sampling, sampler=sampling.sampler or "ddpm")  # as RePaint's
    options = {"resamplings": resamplings, "jump_steps": jump_steps, **sampling.given()}

    def fill(labels, seeds):
        conditions = {"label": labels, **asked}
        return editing.inpaint(denoiser, real, ~marked, conditions, seeds, **options)

    whole = to_uint8(real)
    with_hole = np.where(marked[..., None], np.uint8(128), whole)
    how = sampling.described(card)
    output.write_by_class(fill, card, labels, per_label, seed, how, beside=[whole, with_hole])


def interpolate(
    artifact: Model,
    labels: Labels,
    between_seeds: tuple[int, int] = (1, 2),
    images: tuple[Path, Path] | None = None,
    frames: Positive = 10,
    resize: bool = False,
    trust: Trust = False,
    output: ImageOutput = ImageOutput("walk.png"),
    given: Given = Given(),
    sampling: Sampling = Sampling(),
) -> None:
    """Interpolates between two seeds, two classes, two numbers, or two image files.

    For image files, it interpolates the noise from which DDIM samples them. `--numbers
    NAME=FIRST:LAST` walks from one number to another.

    Args:
        labels: class name or number, or `none`; two of them to interpolate between classes.
        between_seeds: seeds of the first and the last image. If they are equal, only the class
            and the numbers change.
        images: two image files to interpolate between, by default without guidance.
        frames: images in the row, including both ends.
        resize: crop and resize images whose size differs from the model's.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    asked = {
        "label": numbers[0] if len(numbers) == 1 else tuple(numbers),
        **given.read(card, ends_from_text),
    }
    real = images and np.stack([read_given_image(path, card, resize) for path in images])
    path = output.choose()
    options = {"frames": frames, **sampling.given()}
    start = time.perf_counter()
    if real is None:
        walk = to_uint8(interpolation.interpolate(denoiser, asked, between_seeds, **options))
    else:
        walk = to_uint8(interpolation.interpolate_images(denoiser, real, asked, **options))
        error = np.abs(walk[[0, -1]].astype(int) - to_uint8(real)).mean()
        print(f"The ends differ from the images by {error:.1f} of 255 levels on average.")
    seconds = time.perf_counter() - start
    strip = image_grid(walk, frames, scale=output.scale)
    written = write_outputs({path: strip, output.npz: {"images": walk}}, output.overwrite)
    print(f"{frames} frames in {seconds:.1f} s: {written}")


def upsample(
    image: Image,
    model: str,
    condition_noise: float = 0.0,
    seed: int = 0,
    trust: Trust = False,
    output: ImageOutput = ImageOutput("upsampled.png"),
    sampling: Sampling = Sampling(),
) -> None:
    """Makes an image of any size larger, in tiles that overlap.

    Args:
        image: image file.
        model: a model that is conditioned on downsampled images, as MODEL of the other commands.
        condition_noise: standard deviation of the noise on the image; some 0.05 hide the faults of
            an image that a model has sampled.
        seed: seed of the details.
    """
    denoiser, path = load_denoiser(model, trust), output.choose()
    small = read_image(image, denoiser.card.image_shape[2])[None]
    start = time.perf_counter()
    options = {"condition_noise": condition_noise, **sampling.given()}
    large = upsampling.upsample(denoiser, to_model_range(small), [seed], **options)
    seconds = time.perf_counter() - start
    grid = image_grid(to_uint8(large), 1, scale=output.scale or 1, padding=0)
    written = write_outputs({path: grid, output.npz: {"images": to_uint8(large)}}, output.overwrite)
    print(f"{large.shape[2]}x{large.shape[1]} pixels in {seconds:.1f} s: {written}")
