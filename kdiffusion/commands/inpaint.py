"""`python -m kdiffusion inpaint ARTIFACT IMAGE MASK`: paints a part of an image anew (RePaint).

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.inpainting import inpaint
from kdiffusion.images import to_uint8
from kdiffusion.terminal import counted

from .given_images import read_given_image, read_mask
from .grids import check_scale, grid_beside, one_label_after_another, size_beside
from .labels import labels_from_text
from .outputs import refuse_names, refuse_outputs, refuse_size, write_outputs
from .sampling_flags import AS_RECOMMENDED, Artifact, Labels, Sampling


def main(
    artifact: Artifact,
    image: Annotated[Path, tyro.conf.Positional],
    mask: Annotated[Path, tyro.conf.Positional],
    labels: Labels,
    per_label: int = 8,
    seed: int = 0,
    resamplings: int = 5,
    jump_steps: int = 5,
    resize: bool = False,
    sampling: Sampling = AS_RECOMMENDED,
    scale: int | None = None,
    out: Path = Path("inpainted.png"),
    npz: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Paints anew what a mask marks in an image, in harmony with what it leaves.

    The grid has one row per class: the image, the image with the marked part in grey, and what
    was painted. The sampler is ddpm, if not given; those that look back at earlier steps cannot.

    Args:
        artifact: an exported file or folder, such as denoiser.onnx; or a released model.
        image: image file, of the size that the model draws.
        mask: image file of the same size: white is painted anew, black is kept.
        labels: class names, label numbers, `all` or `none`: what to paint.
        per_label: paintings for each class.
        seed: of the first painting; the next ones have seed + 1, seed + 2, ...
        resamplings: how often each stretch of steps is gone through, so that the new part comes to
            fit the old. Cost grows with it; 1 never goes back.
        jump_steps: length of such a stretch.
        resize: crop and resample an image and a mask of another size than the model's.
        scale: pixels that a pixel is wide in the image; if not given, enough for the drawn ones
            to be at least 48 wide.
        out: PNG, JPEG or WebP to write, by its name.
        npz: file for the arrays `images` (uint8 [N, H, W, C]), `labels` and `seeds`, if wanted.
        overwrite: replace existing files.
    """
    check_scale(scale)
    refuse_outputs(out, npz, overwrite=overwrite)
    refuse_names(images=[out])
    denoiser = load_denoiser(artifact)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    label_of_image, seeds = one_label_after_another(numbers, per_label, seed)
    refuse_size(out, size_beside(2, per_label, numbers, card, scale))
    given, marked = read_given_image(image, card, resize), read_mask(mask, card, resize)
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
    print(f"{counted(len(images), 'image')} in {seconds:.1f} s: {written}")
