"""`python -m kdiffusion sample_many MODEL --seeds FIRST:END`: many images, in files of a folder."""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands.inputs import (
    NO_CLASS,
    Given,
    LabelsOrAll,
    Model,
    Positive,
    Sampling,
    Trust,
    each_with_each,
    labels_from_text,
)
from kdiffusion.commands.seed_files import IMAGES_PER_FILE, NPZ, FileFormat, sample_to_folder
from kdiffusion.images import png_bytes
from kdiffusion.terminal import counted


def write_parquet(
    path: Path, images: np.ndarray, labels: np.ndarray, seeds: range, class_names: Sequence[str]
) -> None:
    """Writes a Parquet file, a row per image: `image`, `label`, `seed`.

    The image is the struct of PNG `bytes` and `path` that Hugging Face's `datasets` shows as one.
    There the label has the names of the classes.
    """
    import pyarrow
    from pyarrow import parquet

    rows = [
        {"bytes": png_bytes(image), "path": f"{seed:08d}.png"}
        for image, seed in zip(images, seeds, strict=True)
    ]
    columns = {"image": rows, "label": labels.astype(np.int64), "seed": np.array(seeds, np.uint64)}
    features = {
        "image": {"_type": "Image"},
        "label": {"names": [*class_names, NO_CLASS], "_type": "ClassLabel"},
        "seed": {"dtype": "uint64", "_type": "Value"},
    }
    hints = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(hints), path)


def write_png_folder(
    path: Path, images: np.ndarray, labels: np.ndarray, seeds: range, class_names: Sequence[str]
) -> None:
    """Writes a folder of SEED_labelLABEL.png."""
    path.mkdir()
    for image, label, seed in zip(images, labels, seeds, strict=True):
        (path / f"{seed:08d}_label{label}.png").write_bytes(png_bytes(image))


SEED_FILE_FORMATS = {
    "npz": NPZ,
    "parquet": FileFormat(write_parquet, ".parquet"),
    "png": FileFormat(write_png_folder, ""),
}


FormatName: TypeAlias = Literal[tuple(SEED_FILE_FORMATS)]  # pyright: ignore[reportInvalidTypeForm]


def main(
    artifact: Model,
    seeds: str,
    labels: LabelsOrAll = None,
    shard: str = "1/1",
    format: FormatName = "npz",
    images_per_file: Positive = IMAGES_PER_FILE,
    out: Path = Path("samples"),
    trust: Trust = False,
    given: Given = Given(),
    sampling: Sampling = Sampling(),
) -> None:
    """Samples many images, one for each seed, into files of a folder.

    Existing files are skipped, so an interrupted command can continue.

    Args:
        seeds: FIRST:END, such as 0:50000 for the seeds 0 to 49999.
        labels: class names or numbers, `all` (the default), or `none` for no class; a name of a
            class comes first. The labels take turns, each with all condition images: seed s has
            label number s modulo the number of labels.
        shard: K/N, such as 2/8 on the second of eight machines: sample every N-th file.
        format: npz has the arrays `images` (uint8 [N, H, W, C]), `labels` and `seeds`; parquet has
            the columns `image`, `label` and `seed`; png is a folder of SEED_labelLABEL.png.
        images_per_file: number of images in each file; the last may have fewer.
        out: folder to write into.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    conditions = each_with_each(card, labels_from_text(labels, card.class_names), given.read(card))
    start = time.perf_counter()
    sampled, skipped = sample_to_folder(
        denoiser, conditions, seeds_from_text(seeds), out,
        images_per_file=images_per_file, shard=shard_from_text(shard),
        file_format=SEED_FILE_FORMATS[format], **sampling.given(),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    how = sampling.described(card)
    done = f"{counted(sampled, 'image')} ({how}) in {seconds:.1f} s"
    print(f"{done}, {skipped} existed already: {out}")


def seeds_from_text(text: str) -> range:
    """Reads `FIRST:END` as a range of seeds, END not included, as in a Python slice."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise ValueError(f"`seeds` must be FIRST:END, such as 0:50000. Received: seeds={text!r}")
    return range(int(match[1]), int(match[2]))


def shard_from_text(text: str) -> tuple[int, int]:
    """Reads `K/N`, the K-th of N parts of a job, as two ints; K from 1 to N."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"`shard` must be K/N, such as 2/8. Received: shard={text!r}")
    return int(match[1]), int(match[2])
