"""`python -m kdiffusion sample ARTIFACT`: draws images by class from an exported file.

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.evaluation.image_sets import png_folder_of_ours, write_arr_0, write_png_folder
from kdiffusion.images import image_grid

from .grids import check_scale, draw_by_class
from .labels import label_names, labels_from_text
from .outputs import refuse_names, refuse_outputs, write_outputs
from .sampling_flags import AS_RECOMMENDED, Labels, Sampling
from .shards import draw_to_folder, seeds_from_text, shard_from_text
from .whole_set import write_whole_set

PER_LABEL = 8


def main(
    artifact: Annotated[Path, tyro.conf.Positional],
    labels: Labels = ("all",),
    per_label: int | None = None,
    seed: int | None = None,
    seeds: str | None = None,
    shard: str = "1/1",
    images_per_file: int = 1000,
    sampling: Sampling = AS_RECOMMENDED,
    scale: int | None = None,
    out: Path | None = None,
    npz: Path | None = None,
    png_folder: Path | None = None,
    arr_0: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Draws one image, a grid, one row a class, or a folder of many, from an exported file.

    With --seeds, images stream into files of a folder. Stopped and started again, it goes on; with
    --shard, several machines share the job.

    Args:
        artifact: an exported file or folder, such as denoiser.onnx; or a released model.
        labels: `all`, `none` (of no class), class names or label numbers.
        per_label: images of each in the grid; 8 if not given.
        seed: of the first image of the grid, 0 if not given; the next have seed + 1, seed + 2, ...
        seeds: FIRST:END, such as 0:50000: many images, one for each of these seeds, in files. The
            labels take turns: seed s has the label number s modulo the number of labels.
        shard: K/N: only the K-th of N parts of those seeds, such as 2/8.
        images_per_file: how many of those seeds one file holds.
        scale: pixels that a pixel is wide in the grid; if not given, enough for images to be at
            least 48 wide. One image alone is written plain, a pixel a pixel if not given.
        out: PNG, JPEG or WebP to write, by its name, samples.png if not given; with --seeds a
            folder, samples if not given.
        npz: file for the arrays `images` (uint8 [N, H, W, C]), `labels` and `seeds` of the grid, if
            wanted.
        png_folder: with --seeds, a folder for all of those seeds' images as PNG files, if wanted,
            once all are drawn.
        arr_0: with --seeds, an NPZ file for them as `arr_0`, and their labels as `arr_1`, if
            wanted: what guided-diffusion's evaluator reads.
        overwrite: replace existing files.
    """
    if seeds is None:
        if (png_folder, arr_0) != (None, None):
            raise ValueError(
                "`png_folder` and `arr_0` are for many images: pass `--seeds FIRST:END` too"
            )
        if shard != "1/1":
            raise ValueError("`shard` is for many images: pass `--seeds FIRST:END` too")
        per_label = PER_LABEL if per_label is None else per_label
        out = out or Path("samples.png")
        _draw_grid(artifact, labels, per_label, seed or 0, sampling, scale, out, npz, overwrite)
        return
    if (per_label, seed, scale, npz) != (None, None, None, None):
        raise ValueError(
            "`per_label`, `seed`, `scale` and `npz` are for a grid, and `seeds` is given"
        )
    all_seeds, part, out = seeds_from_text(seeds), shard_from_text(shard), out or Path("samples")
    ours = {png_folder: png_folder_of_ours, arr_0: None}
    refuse_outputs(png_folder, arr_0, overwrite=overwrite, ours=ours)
    denoiser = load_denoiser(artifact)
    numbers = labels_from_text(labels, denoiser.card.class_names)
    start = time.perf_counter()
    drawn, skipped = draw_to_folder(
        denoiser, numbers, all_seeds, out, images_per_file=images_per_file, shard=part,
        overwrite=overwrite, **sampling.given(),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    print(f"{drawn} images in {seconds:.1f} s, {skipped} were there already: {out}")
    for path, write in ((png_folder, write_png_folder), (arr_0, write_arr_0)):
        if path is not None:
            write_whole_set(out, all_seeds, images_per_file, path, write, overwrite, ours[path])
            print(f"All {len(all_seeds)} images: {path}")


def _draw_grid(artifact, labels, per_label, seed, sampling, scale, out, npz, overwrite):
    check_scale(scale)
    refuse_outputs(out, npz, overwrite=overwrite)
    refuse_names(images=[out])
    denoiser = load_denoiser(artifact)
    class_names = denoiser.card.class_names
    numbers = labels_from_text(labels, class_names)
    start = time.perf_counter()
    images, label_of_image, seeds = draw_by_class(
        denoiser, numbers, per_label, seed, **sampling.given()
    )
    seconds = time.perf_counter() - start
    if len(images) == 1:
        grid = image_grid(images, 1, scale=scale or 1, padding=0)
    else:
        names = label_names(numbers, class_names)
        grid = image_grid(images, per_label, row_labels=names, scale=scale)
    arrays = {"images": images, "labels": label_of_image, "seeds": seeds}
    written = write_outputs({out: grid, npz: arrays}, overwrite)
    print(f"{len(images)} images in {seconds:.1f} s: {written}")
