"""A million images of 64x64, packed and in memory: the memory that training on them takes.

    python -m benchmarks.million_images --folder million  # 16 GB of disk, 10 minutes

The form in memory needs 50 GB of memory for a million, and 20 for --images 400000.

Images are generated, encoded as JPEG and written into WebDataset tars, by all cores. `pack` reads
these. Then a process for each form opens the data set, reads batches alone, and trains. Its memory
is its own, without the pages of files, which the system takes back when it needs them.
"""

import dataclasses
import io
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from kdiffusion.data import ImageDataset, load_dataset, training_batches
from kdiffusion.packing.pack import pack

SHARD = 20_000  # images a tar
FORMS = ("packed", "in memory")


def main(folder: Path, images: int = 1_000_000, side: int = 64, steps: int = 40, form: str = ""):
    """Makes the data, and measures each form in a process of its own.

    Args:
        folder: for tars and packed images; what is there is used again.
        images: how many.
        side: in pixels.
        steps: of training.
        form: measure this one here, and nothing else.
    """
    if form:
        print(json.dumps(_measure(folder / "packed", form, steps)))
        return
    start = time.perf_counter()
    (folder / "tars").mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool() as pool:
        counts = [min(SHARD, images - first) for first in range(0, images, SHARD)]
        tasks = [(folder / "tars" / f"{i:05d}.tar", i, n, side) for i, n in enumerate(counts)]
        pool.starmap(_write_tar, tasks)
    print(f"generated in {time.perf_counter() - start:.0f} s", flush=True)
    if not (folder / "packed").exists():
        start = time.perf_counter()
        pack(folder / "tars", folder / "packed", validation_fraction=0.01)
        seconds = time.perf_counter() - start
        print(f"packed in {seconds:.0f} s, {images / seconds:,.0f} images per second", flush=True)
    print("| | seconds to open | batches alone, images/s | training, images/s | memory, GB |")
    print("|---|---|---|---|---|")
    for name in FORMS:
        command = [sys.executable, "-m", "benchmarks.million_images", "--folder", str(folder)]
        done = subprocess.run(
            [*command, "--form", name, "--steps", str(steps)],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"| {name} | {' | '.join(f'{value:,.4g}' for value in found)} |", flush=True)


def _write_tar(path, index, count, side):
    """One tar of blurred colours in 100 classes, unless it is there."""
    if path.exists():
        return
    rng = np.random.default_rng(index)
    partial = path.with_suffix(".partial")
    with tarfile.open(partial, "w") as tar:
        for i in range(count):
            colours = rng.integers(0, 256, (4, 4, 3), np.uint8)
            image = Image.fromarray(colours).resize((side, side), Image.Resampling.BILINEAR)
            with io.BytesIO() as file:
                image.save(file, "JPEG", quality=90)
                _add(tar, f"{index:05d}_{i:05d}.jpg", file.getvalue())
            _add(tar, f"{index:05d}_{i:05d}.cls", str(i % 100).encode())
    os.replace(partial, path)


def _add(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _measure(packed, form, steps, batch_size=64):
    """(seconds to open, images/s of batches, images/s of training, GB of memory)."""
    from kdiffusion.runs import PRESETS
    from kdiffusion.runs.build import build_model

    start = time.perf_counter()
    dataset = load_dataset("packed", directory=packed)
    if form == "in memory":
        dataset = ImageDataset(
            "in memory", np.array(dataset.images), dataset.labels, dataset.validation_images,
            dataset.validation_labels, dataset.class_names, dataset.horizontal_flip,
        )  # fmt: skip
    opened = time.perf_counter() - start
    batches = iter(training_batches(dataset, batch_size, seed=0))
    next(batches)
    start = time.perf_counter()
    for _ in range(1000):
        next(batches)
    alone = 1000 * batch_size / (time.perf_counter() - start)
    del batches
    small = PRESETS["cifar10_small"]
    config = dataclasses.replace(
        small, optimizer=dataclasses.replace(small.optimizer, batch_size=batch_size)
    )
    model = build_model(config, dataset.image_shape, dataset.num_classes, total_steps=steps + 2)
    data = training_batches(dataset, batch_size, seed=0)
    model.fit(data, steps_per_epoch=2, verbose=0)  # compiles
    start = time.perf_counter()
    model.fit(data, steps_per_epoch=steps, verbose=0)
    trained = steps * batch_size / (time.perf_counter() - start)
    return opened, alone, trained, _own_memory()


def _own_memory():
    """GB of memory that is no file's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) / 1e6


if __name__ == "__main__":
    tyro.cli(main)
