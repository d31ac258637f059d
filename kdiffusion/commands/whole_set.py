"""All images of a job in one place, for the tools of others: whole, or not there at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from kdiffusion.files import staged

from .shards import file_name, files_of_shard, read_file


def write_whole_set(
    folder: Path,
    seeds: range,
    images_per_file: int,
    path: Path,
    write: Callable,
    overwrite: bool = False,
    ours: Callable[[Path], str | None] | None = None,
) -> None:
    """Writes the images that `draw_to_folder` drew, by whichever shards, as one set.

    Args:
        folder: Path that the images were drawn into.
        seeds: range, of all the job.
        images_per_file: int, as they were drawn.
        path: Path of the file or the folder to make.
        write: `write_png_folder` or `write_arr_0` of `kdiffusion.evaluation.image_sets`.
        overwrite, ours: as of `kdiffusion.files.staged`.

    Raises:
        ValueError: some of the images are not drawn yet.
        FileExistsError: `path` exists, and `overwrite` is False or it may not be replaced.
    """
    files = [folder / file_name(file) for file in files_of_shard(seeds, images_per_file, (1, 1))]
    missing = [file for file in files if not file.exists()]
    if missing:
        raise ValueError(
            f"{path} is written once all seeds are drawn. {folder} lacks {len(missing)} of "
            f"{len(files)} files, such as {missing[0].name}: draw the other shards, then give the "
            "same command again"
        )
    batches = (read_file(file) for file in tqdm(files, desc=f"Writing {path.name}", unit="file"))
    with staged(path, overwrite, ours) as temporary:
        write(batches, temporary)
