"""Many images, file by file: memory does not grow, a stopped job goes on, machines can share it.

Each file is an NPZ of the images of a range of seeds, with the settings they were drawn with.
Machines share a job by its shards, or by claims on its files, or both.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from kdiffusion.diffusion.options import SamplingOptions
from kdiffusion.diffusion.sampling import sample_batches
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.evaluation.image_sets import differences
from kdiffusion.files import refuse_existing, staged
from kdiffusion.images import to_uint8

from .claims import LEASE_SECONDS, Claims
from .shards import IMAGES_PER_FILE, file_name, files_of_shard, labels_of_seeds

if TYPE_CHECKING:
    from kdiffusion.diffusion.denoiser import Denoiser

SECONDS_BETWEEN_LOOKS = 1.0  # of an idle worker, whether a file is finished or its worker lost


def draw_to_folder(
    denoiser: Denoiser,
    labels: Sequence[int],
    seeds: range,
    folder: str | os.PathLike,
    *,
    images_per_file: int = IMAGES_PER_FILE,
    shard: tuple[int, int] = (1, 1),
    claim: bool = False,
    lease_seconds: float = LEASE_SECONDS,
    overwrite: bool = False,
    batch_size: int = 64,
    progress: bool = True,
    **options: Any,
) -> tuple[int, int]:
    """Draws one image for each seed into files of `folder`; those that are finished stay.

    With `claim`, it returns when all of the job is drawn, by whomever: what no living worker has
    claimed, this one draws, its own part first.

    Args:
        denoiser: LoadedDenoiser.
        labels: ints `[L]`, which the seeds have in turn.
        seeds: range.
        folder: path; made if need be.
        images_per_file: int. Defaults to `1000`.
        shard: (k, n), the part of the job that is done here. Defaults to `(1, 1)`, all of it.
        claim: bool. Whether workers share the job by claims in the folder. Defaults to `False`.
        lease_seconds: float. After so long without a sign of life a worker is lost, and its files
            are drawn by others. All workers must have the same. Defaults to `30`.
        overwrite: bool. Whether finished files are drawn again. Defaults to `False`.
        batch_size: int. Images that are drawn at a time.
        progress: bool. Whether to show a bar.
        **options: the fields of `SamplingOptions`.

    Returns:
        (int, int): how many images were drawn, and how many were there already.

    Raises:
        ValueError: a choice that cannot be, or a folder with images of another job.
        OSError: a folder that is none, or that nothing can be written to.
    """
    if claim and overwrite:
        raise ValueError(
            "`claim` and `overwrite` exclude each other: each worker would draw again what the "
            "others have finished. Remove the files first"
        )
    folder = Path(folder)
    job = _Job.of(denoiser, labels, batch_size, options)
    files = files_of_shard(seeds, images_per_file, shard)
    _refuse_other_cuts(folder, seeds, images_per_file)
    if not overwrite:
        job.refuse_others(folder, files, files_of_shard(seeds, images_per_file, (1, 1)))
    finished = set() if overwrite else {file for file in files if job.finished(folder, file)}
    left = [file for file in files if file not in finished]
    if claim:
        every = files_of_shard(seeds, images_per_file, (1, 1))
        part = set(files)
        others = [file for file in every if file not in part]
        finished |= {file for file in others if job.finished(folder, file)}
        # From the end: the worker whose part a file is begins at the other.
        left += [file for file in reversed(others) if file not in finished]
        with image_bar(len(seeds), sum(map(len, finished)), progress) as bar:
            drawn = _draw_claimed(job, folder, left, bar, lease_seconds)
        return drawn, len(seeds) - drawn
    skipped = sum(map(len, finished))
    total = sum(map(len, files))
    with image_bar(total, skipped, progress) as bar:
        for file in left:
            job.draw(folder / file_name(file), file, overwrite, bar)
    return total - skipped, skipped


def _draw_claimed(job, folder, left, bar, lease_seconds):
    """Draws files until all of `left` are there; gives how many images were drawn here."""
    drawn = 0
    claims = Claims(folder, lease_seconds)
    folder.mkdir(parents=True, exist_ok=True)
    while left:
        held_by_others = []
        for file in left:
            path = folder / file_name(file)
            if path.exists():
                bar.update(len(file))
                continue
            with claims.hold(path.name) as is_held:
                if not is_held:
                    held_by_others.append(file)
                elif path.exists():  # finished since
                    bar.update(len(file))
                else:
                    drawn += _draw_unless_there(job, path, file, bar)
        if len(held_by_others) == len(left):
            time.sleep(min(SECONDS_BETWEEN_LOOKS, lease_seconds))
        left = held_by_others
    return drawn


def _draw_unless_there(job, path, file, bar):
    try:
        job.draw(path, file, False, bar)
    except FileExistsError:
        # This worker was still for so long that another took it for lost, and was faster.
        if not path.is_file():
            raise
        return 0
    return len(file)


def read_folder(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The images of a folder that `draw_to_folder` filled, file by file, in the order of seeds.

    Args:
        folder: path.

    Yields:
        (uint8 `[N, H, W, C]`, int32 `[N]` labels, `[N]` seeds) of each file.
    """
    paths = [path for _, path in sorted((seeds[0], path) for seeds, path in _files_in(folder))]
    if not paths:
        raise ValueError(f"{folder} holds no images of `python -m kdiffusion sample --seeds`")
    yield from map(read_file, paths)


def remove_files(folder: Path) -> None:
    """Removes the images of a folder that `draw_to_folder` filled, and nothing else."""
    for _, path in _files_in(folder):
        path.unlink()


def read_file(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(uint8 `[N, H, W, C]`, int32 `[N]` labels, `[N]` seeds) of one file of such a folder."""
    return _read(path, "images", "labels", "seeds")


@dataclasses.dataclass(frozen=True)
class _Job:
    """What decides the images: the network, known by a prediction of it, and the settings."""

    denoiser: Denoiser
    labels: list
    options: SamplingOptions  # resolved
    batch_size: int
    settings: str  # JSON
    prediction: np.ndarray

    @classmethod
    def of(cls, denoiser, labels, batch_size, options):
        card = denoiser.card
        options = SamplingOptions(**options).resolve(card)
        noise = initial_latents([0], card.image_shape)
        middle = np.array([card.schedule.num_timesteps // 2], np.int32)
        settings = {
            "dataset": card.dataset,
            "class_names": card.class_names,
            "labels": [int(label) for label in labels],
            **dataclasses.asdict(options),
        }
        return cls(
            denoiser, settings["labels"], options, batch_size, json.dumps(settings),
            denoiser(noise, middle, np.zeros(1, np.int32)),
        )  # fmt: skip

    def draw(self, path, seeds, overwrite, bar):
        images = np.empty((len(seeds), *self.denoiser.card.image_shape), np.uint8)
        labels = labels_of_seeds(self.labels, seeds)
        steps = self.options.steps or 1  # it is resolved

        def on_step(index, t, x, x0):
            # The sum of the parts may exceed the whole by a rounding.
            bar.update(min(len(x) / steps, bar.total - bar.n))

        batches = sample_batches(
            self.denoiser, labels, seeds, batch_size=self.batch_size,
            progress=False, callback=on_step, **dataclasses.asdict(self.options),
        )  # fmt: skip
        refuse_existing(path, overwrite)
        path.parent.mkdir(parents=True, exist_ok=True)  # now, not after the work
        for indices, batch in batches:
            images[indices] = to_uint8(batch)
        with staged(path, overwrite) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(
                file, images=images, labels=labels, seeds=np.array(seeds, np.uint64),
                settings=self.settings, prediction=self.prediction,
            )  # fmt: skip

    def refuse_others(self, folder, drawn_here, files):
        """Refuses a folder that has images of another network, or with other settings.

        Those that are drawn here are left out: `finished` looks at all of each.
        """
        drawn_here, files = ({file_name(seeds) for seeds in each} for each in (drawn_here, files))
        for _, path in _files_in(folder):
            if path.name not in drawn_here:
                there, prediction = _read(path, "settings", "prediction", advice=ELSEWHERE)
                # Seeds of no file of this job may have had other labels in turn.
                but = () if path.name in files else ("labels",)
                _check_job(
                    path, str(there), prediction, self.settings, self.prediction, ELSEWHERE, but
                )  # fmt: skip

    def finished(self, folder, seeds):
        """Whether the file is there, whole; one that is not, or is of another job, is refused."""
        path = folder / file_name(seeds)
        if not path.exists():
            return False
        # All of it is read: a checksum tells whether an array is as it was written.
        there, prediction, *arrays = _read(
            path, "settings", "prediction", "images", "labels", "seeds"
        )
        self._check_images(path, seeds, *arrays)
        _check_job(path, str(there), prediction, self.settings, self.prediction)
        return True

    def _check_images(self, path, seeds, images, labels, seeds_there):
        shape = (len(seeds), *self.denoiser.card.image_shape)
        if images.dtype != np.uint8 or images.shape != shape:
            raise ValueError(
                f"{path} is not a whole file of images: it must hold uint8 {shape}. "
                f"Received: {images.dtype} {images.shape}"
            )
        expected = labels_of_seeds(self.labels, seeds)
        for name, there, wanted in (("seeds", seeds_there, seeds), ("labels", labels, expected)):
            if not np.array_equal(there, np.asarray(wanted, there.dtype)):
                raise ValueError(
                    f"{path} is of another job: its {name} are not those of this one. Choose "
                    "another folder, or pass `--overwrite` to draw it again"
                )


def same_job(first: Path) -> Callable[[Path], None]:
    """A function that refuses a file of another job, or network, than the file `first` is of."""
    settings, prediction = _read(first, "settings", "prediction")

    def check(path: Path) -> None:
        there = _read(path, "settings", "prediction")
        _check_job(path, str(there[0]), there[1], str(settings), prediction)

    return check


DRAW_AGAIN = "Choose another folder, or pass `--overwrite` to draw it again"
ELSEWHERE = "Choose another folder, or remove it"


def _check_job(
    path, settings_there, prediction_there, settings, prediction, advice=DRAW_AGAIN, but=()
):
    there = json.loads(settings_there), prediction_there
    differing = differences(there, (json.loads(settings), prediction), but)
    if differing:
        raise ValueError(f"{path} is of another job: {'; '.join(differing)}. {advice}")


def _refuse_other_cuts(folder, seeds, images_per_file):
    """Refuses files that share seeds with this job's and are cut otherwise: images would be twice.

    The seeds of a file that was cut from this range with this size begin at a whole number of files
    from its start, and go on for one file, or to the end of the range.
    """
    for there, path in _files_in(folder):
        if there[-1] < seeds[0] or there[0] >= seeds.stop:
            continue
        is_cut = there[0] >= seeds[0] and (there[0] - seeds[0]) % images_per_file == 0
        if not (is_cut and there.stop == min(there[0] + images_per_file, seeds.stop)):
            raise ValueError(
                f"{path} is cut otherwise than seeds {seeds[0]}:{seeds.stop} in files of "
                f"{images_per_file} images. Give the range, and the images a file, that it was "
                "made with; or remove it, or choose another folder"
            )


def _files_in(folder):
    """(range of seeds, path) of each image file of a folder, from the names alone.

    A name that `file_name` would not give, such as one whose last seed is before its first, is
    somebody else's.
    """
    for path in sorted(Path(folder).glob("images_*.npz")):
        match = re.fullmatch(r"images_([0-9]{8,20})-([0-9]{8,20})\.npz", path.name)
        if match and int(match[1]) <= int(match[2]):
            seeds = range(int(match[1]), int(match[2]) + 1)
            if file_name(seeds) == path.name:
                yield seeds, path


def _read(path, *names, advice="Remove it, or pass `--overwrite`, to draw it again"):
    """The arrays of a file, as a tuple; a file that is damaged or of another kind is refused."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return tuple(arrays[name] for name in names)
    except Exception as error:  # zipfile's, zlib's and NumPy's own, by what is damaged
        raise ValueError(f"{path} is not a whole file of images: {error}. {advice}") from error


def image_bar(total: int, done: int, progress: bool) -> tqdm:
    """A bar over images, some of which were there already."""
    return tqdm(
        total=total,
        initial=done,
        desc="Sampling",
        disable=not progress,
        # Steps count as parts of an image; the number that is shown is whole.
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} images "
        "[{elapsed}<{remaining}]",
    )
