"""`python -m kdiffusion pack SOURCE --out FOLDER`: a data set of any size as plain arrays.

Training reads them from the disk, without holding them in memory: `--data.name packed
--data.directory FOLDER`. Images are uint8 `[N, H, W, C]`, labels int32 `[N]`; `packed.json` says
what else is known of them.
"""

import json
import os
import shlex
import time
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from tqdm import tqdm

from kdiffusion.atomic_files import staged
from kdiffusion.data import ImageDataset
from kdiffusion.data.loading import MARKS
from kdiffusion.images import ImageSize

from .sources import SPLITS, Source, open_source

(DESCRIPTION,) = MARKS
IMAGES = {part: f"{part}_images.npy" for part in SPLITS}
LABELS = {part: f"{part}_labels.npy" for part in SPLITS}


def pack(
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")],
    out: Path,
    directory: Path | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
    horizontal_flip: Literal["auto", "yes", "no"] = "auto",
    overwrite: bool = False,
) -> None:
    """Packs images into a folder that training reads from disk, not from memory.

    Each image is decoded and resized once, here.

    Args:
        source: a folder with a sub-folder of images for each class, or the name of a data set.
        out: folder to write.
        directory: TFDS's data directory; by default TFDS_DATA_DIR, or TFDS's own.
        image_size: side in pixels to resize images to, or height and width; by default the
            images' own.
        validation_fraction: share of the images to hold out, if the data set has no test split.
        seed: decides which images are held out.
        horizontal_flip: whether training mirrors images at random; auto is the data set's
            default, and no for files.
        overwrite: replace a packed folder.
    """
    start = time.perf_counter()
    with staged(out, overwrite, mark=DESCRIPTION) as folder:
        folder.mkdir()
        found = open_source(source, directory, image_size, validation_fraction, seed)
        _write_arrays(folder, found)
        flips = {"auto": found.horizontal_flip, "yes": True, "no": False}
        description = {
            "source": Path(source).name,
            "class_names": found.class_names,
            "horizontal_flip": flips[horizontal_flip],
            "split": {"seed": seed, "validation_fraction": validation_fraction},
        }
        _write(folder, description)
        description["content_hash"] = load("packed", folder).content_hash()
        _write(folder, description)
    images, held_out = (len(found.labels[part]) for part in SPLITS)
    print(
        f"{images:,} images of {'x'.join(map(str, found.image_shape))} and {held_out:,} held out, "
        f"{len(found.class_names)} classes, in {time.perf_counter() - start:.0f} s: {out}"
    )
    print(f"Train on it: --data.name packed --data.directory {shlex.quote(str(out))}")


def _write_arrays(folder: Path, found: Source):
    total = sum(map(len, found.labels.values()))
    with tqdm(total=total, desc="Packing", unit="image") as bar:
        for part in SPLITS:
            labels, first = found.labels[part], 0
            np.save(folder / LABELS[part], labels)
            array = np.lib.format.open_memmap(
                folder / IMAGES[part], "w+", np.uint8, (len(labels), *found.image_shape)
            )
            for images in found.read(part):
                array[first : first + len(images)] = images
                first += len(images)
                bar.update(len(images))
            array.flush()


def _write(folder, description):
    text = json.dumps(description, indent=2) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")


def load(
    name: str, directory: str | os.PathLike | None, image_size: ImageSize | None = None
) -> ImageDataset:
    """Opens a folder that `pack` wrote. Its images were resized and split when they were packed.

    Args:
        name: str. Becomes the data set's name.
        directory: path. The folder.
        image_size: int or (height, width). None, or the size of the packed images.

    Raises:
        ValueError: no folder is given, or the images have another size.
    """
    if directory is None:
        raise ValueError("`directory` must be a folder that `python -m kdiffusion pack` wrote")
    folder = Path(directory)
    description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    images = [np.load(folder / IMAGES[part], mmap_mode="r") for part in SPLITS]
    labels = [np.load(folder / LABELS[part]) for part in SPLITS]
    height, width = images[0].shape[1:3]
    if image_size is not None and tuple(np.broadcast_to(image_size, 2)) != (height, width):
        raise ValueError(
            f"`image_size` must be that of the packed images, {height}x{width}; pack them again "
            f"for another. Received: image_size={image_size}"
        )
    return ImageDataset(
        name, images[0], labels[0], images[1], labels[1], tuple(description["class_names"]),
        description["horizontal_flip"], description.get("content_hash"), description["split"],
    )  # fmt: skip
