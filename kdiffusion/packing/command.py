"""`python -m kdiffusion pack SOURCE --out FOLDER`: a data set of any size as plain arrays.

Training reads them from the disk: `--data.name packed --data.directory FOLDER`.
"""

import shlex
import time
from pathlib import Path
from typing import Annotated, Literal

import tyro

from .pack import pack


def main(
    source: Annotated[str, tyro.conf.Positional],
    out: Path,
    directory: Path | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
    class_names: tuple[str, ...] = (),
    horizontal_flip: Literal["auto", "yes", "no"] = "auto",
    overwrite: bool = False,
) -> None:
    """Packs images into a folder that training reads without holding them in memory.

    Each image is decoded and resized once, here. The folder appears when it is whole.

    Args:
        source: a folder with a sub-folder of images for each class; WebDataset tars: one, a folder
            of them, or NAME-{000..123}.tar; or the name of a data set.
        out: folder to write.
        directory: TFDS data directory of a data set; TFDS_DATA_DIR, or TFDS's own, if not given.
        image_size: side in pixels to which images are resized, or height and width; their own if
            not given.
        validation_fraction: share of the images held out where the data set has no test split.
        seed: decides which images are held out.
        class_names: of WebDataset tars, whose classes are numbers; those if not given.
        horizontal_flip: whether a mirror image shows the same class; auto is what is known of a
            data set, and no for files.
        overwrite: replace a packed folder.
    """
    start = time.perf_counter()
    packed = pack(
        source, out, directory=directory, image_size=image_size,
        validation_fraction=validation_fraction, seed=seed, class_names=class_names,
        horizontal_flip={"auto": None, "yes": True, "no": False}[horizontal_flip],
        overwrite=overwrite,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    height, width, channels = packed["image_shape"]
    images = packed["images"]
    print(
        f"{images['train']:,} images of {height}x{width}x{channels} and {images['validation']:,} "
        f"held out, {len(packed['class_names'])} classes, in {seconds:.0f} s: {out}"
    )
    print(f"Train on it: --data.name packed --data.directory {shlex.quote(str(out))}")
