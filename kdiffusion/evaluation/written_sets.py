"""Sets of drawn images for the tools of others, written batch by batch: never all in memory.

Each writer makes one file or folder that is not there yet; that it appears whole or not at all is
for the caller, by `kdiffusion.files.staged`. A new kind is a function and a row of `WRITTEN_SETS`.
"""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from kdiffusion.images import png_bytes

# uint8 images `[B, H, W, C]`, int labels `[B]` (or None for PNGs) and seeds `[B]`
Batches = Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class WrittenSet:
    """A kind of set.

    Attributes:
        write: function of batches and the Path to make.
        mark: None for a file; for a folder, as in `kdiffusion.files.refuse_existing`.
        needs: str or None. A package that it needs beside what drawing installs.
    """

    write: Callable[[Batches, Path], None]
    mark: str | None = None
    needs: str | None = None


# An empty file in a folder that was written here: such a folder may be replaced.
MARK = ".kdiffusion-images"


def write_png_folder(batches: Batches, folder: Path) -> None:
    """Writes images one by one as SEED_labelLABEL.png, or SEED.png where there are no labels.

    Args:
        batches: iterable of (uint8 `[B, H, W, C]`, int `[B]` labels or None, `[B]` seeds).
        folder: Path of a folder that is not there yet.
    """
    folder.mkdir()
    (folder / MARK).touch()
    for images, labels, seeds in batches:
        for index, image in enumerate(images):
            label = "" if labels is None else f"_label{int(labels[index])}"
            (folder / f"{int(seeds[index]):08d}{label}.png").write_bytes(png_bytes(image))


def write_webdataset(batches: Batches, folder: Path) -> None:
    """Writes WebDataset tars, one per batch: SEED.png and SEED.cls, the label as a number.

    Args:
        batches: as for `write_png_folder`, with labels.
        folder: Path of a folder that is not there yet; gets images-000000.tar and so on.
    """
    folder.mkdir()
    (folder / MARK).touch()
    for number, (images, labels, seeds) in enumerate(batches):
        with tarfile.open(folder / f"images-{number:06d}.tar", "w") as tar:
            for image, label, seed in zip(images, labels, seeds, strict=True):
                files = {"png": png_bytes(image), "cls": str(int(label)).encode()}
                for ending, content in files.items():
                    # Neither time nor owner: the same images make the same bytes.
                    member = tarfile.TarInfo(f"{int(seed):08d}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def write_parquet(batches: Batches, path: Path) -> None:
    """Writes one Parquet file, a row per image: `image` as PNG, `label`, `seed`.

    The image is the struct of `bytes` and `path` that Hugging Face's `datasets` reads as an image.

    Args:
        batches: as for `write_png_folder`, with labels; each becomes a row group.
        path: path of the file to make.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types = {"image": image_type, "label": pa.int64(), "seed": pa.uint64()}
    features = {
        "image": {"_type": "Image"},
        "label": {"dtype": "int64", "_type": "Value"},
        "seed": {"dtype": "uint64", "_type": "Value"},
    }
    hints = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pa.schema(list(types.items()), metadata=hints)
    with pq.ParquetWriter(path, schema) as file:
        for images, labels, seeds in batches:
            rows = [
                {"bytes": png_bytes(image), "path": f"{int(seed):08d}.png"}
                for image, seed in zip(images, seeds, strict=True)
            ]
            columns = {"image": rows, "label": labels.tolist(), "seed": seeds.tolist()}
            file.write_table(pa.table(columns, schema=schema))


def write_arr_0(batches: Batches, path: Path) -> None:
    """Writes one NPZ with `arr_0`, the images, and `arr_1`, their labels, as guided-diffusion does.

    Args:
        batches: as for `write_png_folder`, with labels; one at least.
        path: path of the file to make.
    """
    count, all_labels, image_shape = 0, [], ()
    with tempfile.TemporaryFile(dir=Path(path).parent) as pixels:
        for images, labels, _ in batches:
            pixels.write(np.ascontiguousarray(images, np.uint8).tobytes())
            count, image_shape = count + len(images), images.shape[1:]
            all_labels.append(labels)
        pixels.seek(0)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            with archive.open("arr_0.npy", "w", force_zip64=True) as file:
                # The number of images stands before them, and is known after the last.
                header = {"descr": "|u1", "fortran_order": False, "shape": (count, *image_shape)}
                np.lib.format.write_array_header_1_0(file, header)
                shutil.copyfileobj(pixels, file)
            with archive.open("arr_1.npy", "w") as file:
                np.lib.format.write_array(file, np.concatenate(all_labels).astype(np.int64))


# By the option of `kdiffusion sample`.
WRITTEN_SETS = {
    "png_folder": WrittenSet(write_png_folder, MARK),
    "arr_0": WrittenSet(write_arr_0),
    "webdataset": WrittenSet(write_webdataset, MARK),
    "parquet": WrittenSet(write_parquet, needs="pyarrow"),
}
