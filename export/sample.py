"""`python -m export.sample ARTIFACT`: draws images by class from an exported file.

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import image_grid, save_png, to_uint8

from . import load_denoiser
from .command_line import SamplerName, run_command
from .labels import labels_from_text
from .staging import refuse_existing, staged


def draw_by_class(denoiser, labels, per_label, seed, **options):
    """Draws `per_label` images of each label; image i is that of seed `seed + i`.

    Args:
        denoiser: LoadedDenoiser.
        labels: ints `[L]`.
        per_label: int, at least 1.
        seed: int. Of the first image.
        **options: those of `kdiffusion.diffusion.sampling.sample`.

    Returns:
        (uint8 `[N, H, W, C]`, int32 `[N]` labels, int64 `[N]` seeds), N = L * per_label, the
        images of one label after another.
    """
    if per_label < 1:
        raise ValueError(f"`per_label` must be at least 1. Received: per_label={per_label}")
    label_of_image = np.repeat(np.asarray(labels, np.int32), per_label)
    seeds = seed + np.arange(len(label_of_image), dtype=np.int64)
    images = sample(denoiser, denoiser.card, label_of_image, seeds, **options)
    return to_uint8(images), label_of_image, seeds


def main(
    artifact: Annotated[Path, tyro.conf.Positional],
    labels: tuple[str, ...] = ("all",),
    per_label: int = 8,
    sampler: SamplerName | None = None,
    steps: int | None = None,
    guidance_strength: float | None = None,
    seed: int = 0,
    batch_size: int = 64,
    out: Path = Path("samples.png"),
    npz: Path | None = None,
    overwrite: bool = False,
):
    """Draws a grid of images, one row a class, from an exported file of any format.

    The sampler, the steps and the guidance are those that the file recommends, if not given.

    Args:
        artifact: denoiser.onnx, a saved_model folder, or another exported format.
        labels: `all`, class names or label numbers.
        per_label: images of each.
        sampler: how to go from noise to image.
        steps: from noise to image, at most the T of the training.
        guidance_strength: w of classifier-free guidance, where 0 is the plain conditional model.
            Many libraries write s = 1 + w.
        seed: of the first image; the next ones have seed + 1, seed + 2, ...
        batch_size: images that are drawn at a time. It does not change them.
        out: PNG to write.
        npz: file for the arrays `images` (uint8 [N, H, W, C]), `labels` and `seeds`, if wanted.
        overwrite: replace existing files.
    """
    for path in filter(None, (out, npz)):
        refuse_existing(path, overwrite)  # before the work, not after it
    denoiser = load_denoiser(artifact)
    class_names = denoiser.card.class_names
    numbers = labels_from_text(labels, class_names)
    start = time.perf_counter()
    images, label_of_image, seeds = draw_by_class(
        denoiser,
        numbers,
        per_label,
        seed,
        sampler=sampler,
        steps=steps,
        guidance_strength=guidance_strength,
        batch_size=batch_size,
    )
    seconds = time.perf_counter() - start
    grid = image_grid(images, per_label, row_labels=[class_names[number] for number in numbers])
    if npz is not None:
        with staged(npz, overwrite) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, images=images, labels=label_of_image, seeds=seeds)
    with staged(out, overwrite) as temporary:
        save_png(grid, temporary)
    print(f"{len(images)} images in {seconds:.1f} s: {out}" + (f", {npz}" if npz else ""))


if __name__ == "__main__":
    run_command(main, __spec__.name)
