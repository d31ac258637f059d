"""`python -m kdiffusion interpolate ARTIFACT`: a walk between two images, as one strip.

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.interpolation import interpolate, interpolate_images
from kdiffusion.images import grid_size, image_grid, to_uint8

from .given_images import read_given_image
from .grids import check_scale
from .labels import labels_from_text
from .outputs import refuse_names, refuse_outputs, refuse_size, write_outputs
from .sampling_flags import AS_RECOMMENDED, Artifact, Labels, Sampling


def main(
    artifact: Artifact,
    labels: Labels,
    between_seeds: Annotated[tuple[int, int] | None, tyro.conf.arg(aliases=["--seeds"])] = None,
    images: tuple[Path, Path] | None = None,
    frames: int = 10,
    resize: bool = False,
    sampling: Sampling = AS_RECOMMENDED,
    scale: int | None = None,
    out: Path = Path("walk.png"),
    npz: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Draws a walk from one image to another, in a row, through a deterministic sampler.

    From one seed's image to another's, from one class to another, or both; or from one image file
    to another, through the noise that DDIM would have drawn them from.

    Args:
        artifact: an exported file or folder, such as denoiser.onnx; or a released model.
        labels: class name, label number or `none`; two of them to walk from one to the other.
        between_seeds: of the first and the last image, 1 and 2 if not given; the same twice keeps
            the noise, and only the class changes.
        images: two image files to walk between, in place of seeds. Guidance is off unless given.
        frames: images in the row, both ends included.
        resize: crop and resample image files of another size than the model's.
        scale: pixels that a pixel is wide in the image; if not given, enough for the drawn ones
            to be at least 48 wide.
        out: PNG, JPEG or WebP to write, by its name.
        npz: file for the array `images` (uint8 [N, H, W, C]), if wanted.
        overwrite: replace existing files.
    """
    check_scale(scale)
    refuse_outputs(out, npz, overwrite=overwrite)
    refuse_names(images=[out])
    if images is not None and between_seeds is not None:
        raise ValueError(
            "`between_seeds` must not be given with `images`: both say where the walk ends"
        )
    if images is None and resize:
        raise ValueError("`resize` is for image files, and no `images` are given")
    denoiser = load_denoiser(artifact)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    if len(numbers) > 2:
        raise ValueError(f"`labels` must be one class, or two to walk between. Received: {numbers}")
    label = numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])
    refuse_size(out, grid_size(card.image_shape, frames, 1, scale=scale))
    options = {"frames": frames, **sampling.given()}
    start = time.perf_counter()
    if images is None:
        walk = to_uint8(interpolate(denoiser, label, between_seeds or (1, 2), **options))
    else:
        given = np.stack([read_given_image(path, card, resize) for path in images])
        walk = _between_images(denoiser, given, label, **options)
    seconds = time.perf_counter() - start
    strip = image_grid(walk, frames, scale=scale)
    print(f"{frames} frames in {seconds:.1f} s: ", end="")
    print(write_outputs({out: strip, npz: {"images": walk}}, overwrite))


def _between_images(denoiser, given, label, **options):
    """The walk as uint8, and a line on the screen that says how near it comes to its ends."""
    walk = to_uint8(interpolate_images(denoiser, given, label, **options))
    ends = walk[[0, -1]].astype(int)
    error = np.abs(ends - to_uint8(given)).mean()
    print(f"The ends differ from the images by {error:.1f} of 255 levels on average.")
    return walk
