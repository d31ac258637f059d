"""`python -m export.interpolate ARTIFACT`: a walk between the images of two seeds, as one strip.

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.diffusion.interpolation import interpolate
from kdiffusion.images import image_grid, save_png, to_uint8

from . import load_denoiser
from .command_line import SamplerName, run_command
from .labels import labels_from_text
from .staging import refuse_existing, staged


def main(
    artifact: Annotated[Path, tyro.conf.Positional],
    label: tuple[str, ...],
    seeds: tuple[int, int] = (1, 2),
    frames: int = 10,
    sampler: SamplerName | None = None,
    steps: int | None = None,
    guidance_strength: float | None = None,
    batch_size: int = 64,
    out: Path = Path("walk.png"),
    overwrite: bool = False,
):
    """Draws a walk from one seed's image to another's, in a row, through a deterministic sampler.

    Args:
        artifact: denoiser.onnx, a saved_model folder, or another exported format.
        label: class name or label number; two of them to walk from one class to the other.
        seeds: of the first and the last image.
        frames: images in the row, both ends included.
        sampler: a deterministic one; if not given, the file's if it is, ddim otherwise.
        steps: from noise to image; if not given, what the file recommends.
        guidance_strength: w of classifier-free guidance, where 0 is the plain conditional model; if
            not given, what the file recommends.
        batch_size: images that are drawn at a time. It does not change them.
        out: PNG to write.
        overwrite: replace an existing file.
    """
    refuse_existing(out, overwrite)  # before the work, not after it
    denoiser = load_denoiser(artifact)
    labels = labels_from_text(label, denoiser.card.class_names)
    if len(labels) > 2:
        raise ValueError(f"`label` must be one class, or two to walk between. Received: {labels}")
    start = time.perf_counter()
    images = interpolate(
        denoiser,
        denoiser.card,
        labels[0] if len(labels) == 1 else tuple(labels),
        seeds,
        frames=frames,
        sampler=sampler,
        steps=steps,
        guidance_strength=guidance_strength,
        batch_size=batch_size,
    )
    with staged(out, overwrite) as temporary:
        save_png(image_grid(to_uint8(images), frames), temporary)
    print(f"{frames} frames in {time.perf_counter() - start:.1f} s: {out}")


if __name__ == "__main__":
    run_command(main, __spec__.name)
