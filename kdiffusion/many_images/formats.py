"""The files that many images can be written into: a table of formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from kdiffusion.commands.seed_files import NPZ, FileFormat
from kdiffusion.images import png_bytes


def write_webdataset(path: Path, images: np.ndarray, labels: np.ndarray, seeds: range) -> None:
    """Writes a tar of WebDataset: SEED.png, and SEED.cls with the label as a number."""
    from webdataset.writer import TarWriter

    with TarWriter(str(path), encoder=False, mtime=0) as tar:
        for image, label, seed in zip(images, labels, seeds, strict=True):
            name, number = f"{seed:08d}", str(label).encode()
            tar.write({"__key__": name, "png": png_bytes(image), "cls": number})


def write_parquet(path: Path, images: np.ndarray, labels: np.ndarray, seeds: range) -> None:
    """Writes a Parquet file, a row per image: `image`, `label`, `seed`.

    The image is the struct of PNG `bytes` and `path` that Hugging Face's `datasets` shows as one.
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
        "label": {"dtype": "int64", "_type": "Value"},
        "seed": {"dtype": "uint64", "_type": "Value"},
    }
    hints = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(pyarrow.table(columns).replace_schema_metadata(hints), path)


def write_png_folder(path: Path, images: np.ndarray, labels: np.ndarray, seeds: range) -> None:
    """Writes a folder of SEED_labelLABEL.png."""
    path.mkdir()
    for image, label, seed in zip(images, labels, seeds, strict=True):
        (path / f"{seed:08d}_label{label}.png").write_bytes(png_bytes(image))


FORMATS = {
    "npz": NPZ,
    "webdataset": FileFormat(write_webdataset, ".tar"),
    "parquet": FileFormat(write_parquet, ".parquet"),
    "png": FileFormat(write_png_folder, ""),
}
