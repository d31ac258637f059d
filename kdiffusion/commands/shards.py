"""How a job of many images is cut: into files of a range of seeds each, dealt out to shards.

An image depends on its seed alone, so it does not matter which machine draws it, nor when.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np

from kdiffusion.checks import check_seed

from .array_jobs import shard_of_environment

IMAGES_PER_FILE = 1000  # unless told otherwise
MOST_FILES = 1_000_000  # more than a folder is looked through for in reasonable time


def seeds_from_text(text: str) -> range:
    """Reads `FIRST:END` as a range of seeds, END not included, as in a Python slice."""
    match = re.fullmatch(r"(\d+):(\d+)", text)
    if not match or int(match[1]) >= int(match[2]):
        raise ValueError(
            "`seeds` must be FIRST:END, such as 0:50000 for the seeds 0 to 49999. "
            f"Received: seeds={text!r}"
        )
    seeds = range(int(match[1]), int(match[2]))
    check_seed(seeds[-1])
    return seeds


def shard_from_text(text: str) -> tuple[int, int]:
    """Reads `K/N`, the K-th of N equal parts of a job, as two ints; K from 1 to N.

    `auto` is the part that the array job in the environment gives this process.
    """
    if text == "auto":
        return shard_of_environment(os.environ)
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(
            "`shard` must be auto, or K/N, such as 2/8 for the second of eight, K from 1 to N. "
            f"Received: shard={text!r}"
        )
    return int(match[1]), int(match[2])


def files_of_shard(seeds: range, images_per_file: int, shard: tuple[int, int]) -> list[range]:
    """Cuts a range of seeds into files and deals them out to the shards in turn.

    Args:
        seeds: range.
        images_per_file: int, at least 1; the last file of the job may hold fewer.
        shard: (k, n): every n-th file, from the k-th on.

    Returns:
        list of ranges, one per file. What a file holds does not depend on the number of shards.
    """
    if images_per_file < 1:
        raise ValueError(
            f"`images_per_file` must be at least 1. Received: images_per_file={images_per_file}"
        )
    number, count = shard
    most = MOST_FILES * images_per_file
    if seeds.stop - seeds.start > most:
        raise ValueError(
            f"`seeds` must be at most {most}, {MOST_FILES} files of {images_per_file} images. "
            f"Received: seeds={seeds.start}:{seeds.stop}"
        )
    firsts = seeds[(number - 1) * images_per_file :: count * images_per_file]
    return [range(first, min(first + images_per_file, seeds.stop)) for first in firsts]


def file_name(seeds: range) -> str:
    """The name of the file that holds the images of a range of seeds, its first and its last."""
    return f"images_{seeds[0]:08d}-{seeds[-1]:08d}.npz"


def labels_of_seeds(labels: Sequence[int], seeds: range) -> np.ndarray:
    """The label of each seed: the labels in turn, so that seed s has `labels[s % len(labels)]`."""
    return np.array([labels[seed % len(labels)] for seed in seeds], np.int32)


def part_of_shard(shard: tuple[int, int], part: int, parts: int) -> tuple[int, int]:
    """The shard that is one of `parts` equal parts of another; `part` from 0 on."""
    number, count = shard
    return number + part * count, count * parts
