"""`python -m kdiffusion interpolate ARTIFACT`: a walk between two images, as one strip.

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path

import numpy as np

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.interpolation import interpolate, interpolate_images
from kdiffusion.images import image_grid, to_uint8

from .inputs import (
    AS_RECOMMENDED,
    Labels,
    Model,
    Sampling,
    Trust,
    labels_from_text,
    read_given_image,
)
from .outputs import choose_output, refuse_outputs, write_outputs


def main(
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
    out = choose_output(out, "walk.png", overwrite)
    refuse_outputs(npz, overwrite=overwrite)
    options = {"frames": frames, **sampling.given()}
    start = time.perf_counter()
    if given is None:
        walk = to_uint8(interpolate(denoiser, label, between_seeds, **options))
    else:
        walk = to_uint8(interpolate_images(denoiser, given, label, **options))
        error = np.abs(walk[[0, -1]].astype(int) - to_uint8(given)).mean()
        print(f"The ends differ from the images by {error:.1f} of 255 levels on average.")
    seconds = time.perf_counter() - start
    strip = image_grid(walk, frames, scale=scale)
    written = write_outputs({out: strip, npz: {"images": walk}}, overwrite)
    print(f"{frames} frames in {seconds:.1f} s: {written}")
