"""All images of a job in one place, for the tools of others: whole, or not there at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from kdiffusion.evaluation.written_sets import WrittenSet
from kdiffusion.files import staged

from .drawn_files import read_file, same_job
from .shards import file_name, files_of_shard

MOST_NAMED = 20


def write_whole_set(
    folder: Path,
    seeds: range,
    images_per_file: int,
    path: Path,
    kind: WrittenSet,
    overwrite: bool = False,
) -> None:
    """Writes the images that `draw_to_folder` drew, by whichever shards, as one set.

    Args:
        folder: Path that the images were drawn into.
        seeds: range, of all the job.
        images_per_file: int, as they were drawn.
        path: Path of the file or the folder to make.
        kind: a row of `kdiffusion.evaluation.written_sets.WRITTEN_SETS`.
        overwrite: bool. Whether an earlier set may be replaced. Defaults to `False`.

    Raises:
        ValueError: some of the images are not drawn yet, or were drawn by another job.
        FileExistsError: `path` exists, and `overwrite` is False or it may not be replaced.
    """
    files = files_of_shard(seeds, images_per_file, (1, 1))
    missing = missing_files(folder, files)
    if missing:
        raise ValueError(
            f"{path} is written once all seeds are drawn. {folder} lacks {len(missing)} of "
            f"{len(files)} files: {named(missing)}. Draw the other shards, then give the same "
            "command again"
        )
    with staged(path, overwrite, kind.mark) as temporary:
        bar = tqdm(files, desc=f"Writing {path.name}", unit="file")
        kind.write(_checked(folder, bar, same_job(folder / file_name(files[0]))), temporary)


def missing_files(folder: Path, files: list[range]) -> list[str]:
    """Names of the files that are not in a folder yet, of those with the images of these seeds."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return [file_name(file) for file in files if file_name(file) not in there]


def named(names: list[str]) -> str:
    """Names for a message: the first of them, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _checked(folder, files, check):
    """The arrays of each file, which must have its seeds and be of the same job as the others."""
    for file in files:
        path = folder / file_name(file)
        images, labels, seeds = read_file(path)
        if not np.array_equal(seeds, np.array(file, seeds.dtype)):
            raise ValueError(
                f"{path} must hold the seeds {file[0]} to {file[-1]}, each once. Remove it, and "
                "give the same command again"
            )
        check(path)
        yield images, labels, seeds
