"""Draws a large set by one process, and by several of which one is killed; compares the images.

    python -m benchmarks.many_images digits --images 50000

The several are `kdiffusion sample --claim`, each a process of its own that was given no part: they
share the job by claims alone. One of them gets SIGKILL when a third of the files are there. The set
must be complete, with no image twice, and to the last bit that of the one process.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.commands.command_line import run_command
from kdiffusion.commands.drawn_files import read_folder
from kdiffusion.commands.shards import file_name, files_of_shard


def _start(artifact, images, images_per_file, out, options):
    command = [
        sys.executable, "-m", "kdiffusion", "sample", str(artifact), "--seeds", f"0:{images}",
        "--images-per-file", str(images_per_file), "--out", str(out), "--claim", *options,
    ]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def _finished(out):
    return len(list(out.glob("images_*.npz")))


def _by_several(start, out, workers, files):
    """Seconds until all is drawn, and of those the seconds after a worker was killed in a file."""
    began = time.perf_counter()
    first, *others = [start(out) for _ in range(workers)]
    mark = f"{first.pid}\n"

    def holds_a_claim():
        # A claim may go while it is read.
        claims = out.glob(".images_*.claim")
        return any(_text(claim).endswith(f" {mark}") for claim in claims)

    while _finished(out) < files // 3 or not holds_a_claim():
        if first.poll() is not None:
            raise ValueError("The worker ended before it could be killed: draw more images")
        time.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    killed = time.perf_counter()
    there = _finished(out)
    statuses = [first.wait(), *(worker.wait() for worker in others)]
    print(f"killed with {there} of {files} files there; statuses {statuses}", flush=True)
    end = time.perf_counter()
    return end - began, end - killed


def _text(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _compare(one, several, images):
    seen = []
    for ours, theirs in zip(read_folder(several), read_folder(one), strict=True):
        for array, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(array, other)
        seen.append(ours[2])
    np.testing.assert_array_equal(np.concatenate(seen), np.arange(images))


def main(
    artifact: Annotated[Path, tyro.conf.Positional],
    images: int = 3000,
    workers: int = 3,
    images_per_file: int = 100,
    steps: int | None = None,
    out: Path | None = None,
) -> None:
    """Draws a set twice, and compares.

    Args:
        artifact: an exported file, or a released model.
        images: how many.
        workers: processes of the second set, of which one is killed.
        images_per_file: in each file, the unit that is claimed.
        steps: of dpmpp_2m without guidance, for a quick look; as recommended if not given.
        out: folder for both sets; a temporary one if not given.
    """
    with tempfile.TemporaryDirectory() as temporary:
        out = out or Path(temporary)
        one, several = out / "one", out / "several"
        files = [file_name(f) for f in files_of_shard(range(images), images_per_file, (1, 1))]

        options = []
        if steps is not None:
            options = f"--sampler dpmpp_2m --steps {steps} --guidance-strength 0".split()

        def start(folder):
            return _start(artifact, images, images_per_file, folder, options)

        began = time.perf_counter()
        if start(one).wait():
            raise ValueError("The one process did not end well")
        print(f"one process: {time.perf_counter() - began:.0f} s", flush=True)
        several.mkdir(parents=True)
        seconds, after = _by_several(start, several, workers, len(files))
        print(f"{workers} processes, one killed: {seconds:.0f} s, {after:.0f} s of it after that")
        if sorted(os.listdir(several)) != files:
            raise ValueError(f"{several} must hold {len(files)} files and no claims")
        _compare(one, several, images)
        print(f"{images} images: complete, none twice, equal to those of one process")


if __name__ == "__main__":
    run_command(main, "benchmarks.many_images")
