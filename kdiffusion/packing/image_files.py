"""Images in files of their own, and in WebDataset tars, which are read without unpacking them."""

import io
import json
import os
import re
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kdiffusion.images import read_image

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "ppm")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class ImageFile(NamedTuple):
    """An image in a file: all of it, or `size` bytes of a tar from `offset` on."""

    path: Path
    label: int
    name: str = ""
    offset: int = 0
    size: int = -1

    def read(self) -> np.ndarray:
        """uint8 `[H, W, C]`, C = 1 or 3."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            content = io.BytesIO(file.read(self.size))
        return read_image(f"{self.path}: {self.name}" if self.name else self.path, content)


def tar_files(source: str | os.PathLike) -> list[Path]:
    """The tar files that a source names, in order: one, a folder of them, or NAME-{000..123}.tar.

    Args:
        source: str or path.

    Returns:
        list of Path; empty where it names none.
    """
    path = Path(source)
    if path.is_dir():
        return sorted(path.glob("[!.]*.tar"))
    if path.suffix != ".tar":
        return []
    match = _RANGE.search(str(path))
    if match is None:
        return [path]
    first, last = match.groups()
    before, after = str(path)[: match.start()], str(path)[match.end() :]
    numbers = range(int(first), int(last) + 1)
    return [Path(f"{before}{number:0{len(first)}d}{after}") for number in numbers]


def index_tar(path: str | os.PathLike) -> list[ImageFile]:
    """The images in a WebDataset tar file.

    Files of the same name up to its first dot are one example: an image, and its class as a number
    in a `.cls` file, or as `label` in a `.json` file. Other files are passed over, such as
    `1.mask.png` beside `1.jpg`.

    Args:
        path: path of an uncompressed tar file.

    Raises:
        ValueError: an example lacks its image or its label.
    """
    images, labels = {}, {}
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            folder, _, name = member.name.rpartition("/")
            stem, _, suffix = name.partition(".")
            example, suffix = f"{folder}/{stem}", suffix.lower()
            if not stem or not member.isfile():  # without a stem it is hidden: macOS' ._1.jpg
                continue
            if suffix in IMAGE_SUFFIXES:
                images[example] = member
            elif suffix == "cls":
                labels[example] = int(_content(tar, member))
            elif suffix == "json":
                facts = json.loads(_content(tar, member))
                if "label" in facts:
                    labels[example] = facts["label"]
    incomplete = images.keys() ^ labels.keys()
    if incomplete:
        raise ValueError(
            f"{path}: the example {min(incomplete)} must have an image, and a label in a .cls file "
            "or as `label` in a .json file"
        )
    return [
        ImageFile(Path(path), labels[example], member.name, member.offset_data, member.size)
        for example, member in images.items()
    ]


def _content(tar, member):
    return tar.extractfile(member).read()
