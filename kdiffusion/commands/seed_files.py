"""Images of a range of seeds, in a folder of files of a thousand each.

An image depends on its seed alone, so any machine can sample any file, at any time. A file that is
there is skipped, so a stopped job resumes.
"""

import dataclasses
import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from kdiffusion.atomic_files import staged
from kdiffusion.diffusion.conditions import Conditions, check_conditions, trial_conditions
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.sampling_plan import check_seeds
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.images import to_uint8

IMAGES_PER_FILE = 1000
JOB = "job.json"  # what a folder's images were sampled with
# Two exports of one network, on two machines, agree to 1e-4; two networks do not.
SAME_NETWORK = 1e-3


class FileFormat(NamedTuple):
    """A format of image files.

    Attributes:
        write: function of (path, uint8 images `[N, H, W, C]`, int32 labels `[N]`, range of seeds,
            names of the classes).
        suffix: str. What the name of a file ends in.
    """

    write: Callable[[Path, np.ndarray, np.ndarray, range, Sequence[str]], None]
    suffix: str


def write_npz(
    path: Path, images: np.ndarray, labels: np.ndarray, seeds: range, class_names: Sequence[str]
) -> None:
    """Writes an NPZ with the arrays `images`, `labels` and `seeds`."""
    with open(path, "wb") as file:
        np.savez_compressed(file, images=images, labels=labels, seeds=np.array(seeds, np.uint64))


NPZ = FileFormat(write_npz, ".npz")


def sample_to_folder(
    denoiser: Denoiser,
    labels: Sequence[int] | Conditions,
    seeds: range,
    folder: str | os.PathLike,
    *,
    images_per_file: int = IMAGES_PER_FILE,
    shard: tuple[int, int] = (1, 1),
    file_format: FileFormat = NPZ,
    batch_size: int = 64,
    progress: bool = True,
    **options: Any,
) -> tuple[int, int]:
    """Samples one image for each seed into files of `folder`; files that are there are skipped.

    Args:
        denoiser: a Denoiser.
        labels: ints `[L]` or `Conditions`, in turn: seed s has `labels[s % L]`.
        seeds: range.
        folder: path; made if need be.
        images_per_file: int. Defaults to `1000`.
        shard: (k, n): every n-th file, from the k-th on. Defaults to `(1, 1)`, all of them.
        file_format: `FileFormat`. Defaults to NPZ.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar.
        **options: the fields of `SamplingOptions`.

    Returns:
        (int, int): how many images were sampled, and how many were there.

    Raises:
        ValueError: the folder holds images of another model, other options or another division
            into files.
    """
    folder, card = Path(folder), denoiser.card
    settings = dataclasses.asdict(SamplingOptions(**options).resolve(card))
    check_seeds([seeds[0], seeds[-1]])
    if not isinstance(labels, Conditions):
        labels = check_conditions(card, labels, len(labels))
    _begin_job(folder, denoiser, labels, settings)
    files = files_of(seeds, images_per_file)
    _refuse_overlaps(folder, files)
    files = files[shard[0] - 1 :: shard[1]]
    left = [file for file in files if not (folder / file_name(file, file_format.suffix)).exists()]
    total, skipped = sum(map(len, files)), sum(map(len, files)) - sum(map(len, left))
    options_of_bar = {"desc": "Sampling", "unit": "image", "disable": not progress}
    with tqdm(total=total, initial=skipped, **options_of_bar) as bar:
        for file in left:
            conditions = labels[[seed % len(labels.label) for seed in file]]
            images = sample(
                denoiser, conditions, file, batch_size=batch_size, progress=False,
                callback=lambda index, t, x, x0: bar.update(len(x) * (t < 0)), **options,
            )  # fmt: skip
            with staged(folder / file_name(file, file_format.suffix), overwrite=True) as path:
                file_format.write(path, to_uint8(images), conditions.label, file, card.class_names)
    return total - skipped, skipped


def files_of(seeds: range, images_per_file: int = IMAGES_PER_FILE) -> list[range]:
    """The range of seeds of each file; the last may be shorter."""
    firsts = range(0, len(seeds), images_per_file)
    return [seeds[first : first + images_per_file] for first in firsts]


def file_name(seeds: range, suffix: str = NPZ.suffix) -> str:
    """The name of the file with the images of a range of seeds: its first and its last."""
    return f"images_{seeds[0]:08d}-{seeds[-1]:08d}{suffix}"


def _begin_job(folder, denoiser, conditions, options):
    """Notes what the images are sampled with; a folder of other images is an error."""
    card = denoiser.card
    noise = initial_latents([0], card.image_shape)
    middle = np.array([card.schedule.num_timesteps // 2], np.int32)
    trial = trial_conditions(card, [0])
    prediction = denoiser(noise, middle, trial.label, **trial.more).ravel()[:64].tolist()
    settings = {
        "dataset": card.dataset, "class_names": card.class_names,
        "labels": conditions.label.tolist(),
        **{name: hashlib.sha256(each).hexdigest() for name, each in conditions.more.items()},
        **options,
    }  # fmt: skip
    settings = json.loads(json.dumps(settings))  # with lists for tuples
    path = folder / JOB
    if path.exists() and any(_ranges_in(folder)):
        job = json.loads(path.read_text(encoding="utf-8"))
        differing = [name for name in settings if settings[name] != job["settings"].get(name)]
        if not np.allclose(job["prediction"], prediction, rtol=0, atol=SAME_NETWORK):
            differing.append("model")
        if differing:
            raise ValueError(
                f"{folder} has images sampled with other settings: {', '.join(differing)}. Choose "
                "another folder, or delete this one"
            )
        return
    with staged(path, overwrite=True) as temporary:
        text = json.dumps({"settings": settings, "prediction": prediction}, indent=1)
        temporary.write_text(text, encoding="utf-8")


def _refuse_overlaps(folder, files):
    """Refuses files that share seeds with this job's but not all: images would be there twice."""
    ranges = sorted({*_ranges_in(folder), *files}, key=lambda seeds: (seeds.start, seeds.stop))
    for before, after in itertools.pairwise(ranges):
        if after.start < before.stop:
            raise ValueError(
                f"{folder} has files with other ranges of seeds: {file_name(before)} overlaps "
                f"{file_name(after)}. Choose another folder, or delete this one"
            )


def _ranges_in(folder):
    """The range of seeds of each file, of any format, from the names alone."""
    for path in Path(folder).glob("images_*"):
        if match := re.fullmatch(r"images_(\d+)-(\d+)(\.\w+)?", path.name):
            yield range(int(match[1]), int(match[2]) + 1)
