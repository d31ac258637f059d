"""`python -m kdiffusion evaluate SOURCE`: how good samples are, by measures that people trust.

It runs without TensorFlow, but for a data set of TFDS, a SavedModel and weights.
"""

import contextlib
import json
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from kdiffusion.artifacts import is_artifact, load_denoiser
from kdiffusion.artifacts.released import existing
from kdiffusion.atomic_files import refuse_existing, staged
from kdiffusion.commands.inputs import Artifact, PositiveOrNone, Sampling, Trust, from_to
from kdiffusion.commands.outputs import write_outputs
from kdiffusion.commands.seed_files import JOB, file_name, files_of, sample_to_folder
from kdiffusion.data import ImageDataset, load_dataset, name_and_directory
from kdiffusion.data.loading import load_as_split

from .evaluation import NETWORK_IMAGES, fitting_count, measurable, measure
from .features import Reading
from .image_sets import open_images
from .measures import MEASURES
from .real_images import conditions_to_sample, read_real
from .report import report, table

MeasureName: TypeAlias = Literal[tuple(MEASURES)]  # pyright: ignore[reportInvalidTypeForm]
FIGURES, REPORT = "evaluation.json", "report.html"


def main(
    source: Artifact,
    data: str | None = None,
    directory: Path | None = None,
    condition_directory: Path | None = None,
    images: PositiveOrNone = None,
    measures: tuple[MeasureName, ...] | None = None,
    reading: Reading = Reading(),
    network_images: Annotated[int, from_to(0)] = NETWORK_IMAGES,
    seed: int = 0,
    sampling: Sampling = Sampling(),
    out: Path = Path("evaluation"),
    overwrite: bool = False,
    trust: Trust = False,
) -> None:
    """Measures samples against real images: a table, evaluation.json and report.html.

    docs/evaluation.md explains the measures. An interrupted command can continue.

    Args:
        source: an exported file or folder to sample from, or existing images: a folder, what
            `sample_many` wrote, or an NPZ file with `images` or `arr_0`.
        data: name of the real data set, or a folder with a sub-folder for each class; by default,
            what the model was trained on.
        directory: folder of the images, or TFDS's data directory.
        condition_directory: folder of the images to condition on, where it was one in training.
        images: number of samples; by default 5000, or the number of training images if that is
            less. For existing images: how many to use, by default all.
        measures: measures to compute; by default all that are possible.
        network_images: number of held-out images to measure the network's errors on, without
            sampling; fewer than 2 for none. Only for an exported file.
        seed: seed of the first sample, and of the subsets that some measures use.
        out: folder to write into.
        overwrite: replace an earlier evaluation and its samples, when the new one is done.
    """
    for name in (FIGURES, REPORT):
        refuse_existing(out / name, overwrite)
    given, denoiser, facts = _open(existing(source), images, seed, trust)
    if denoiser is not None:
        sampling.resolve(denoiser.card)
    where, card = (data, directory, condition_directory), denoiser and denoiser.card
    dataset, held_out = _load_data(card, facts.image_shape, *where)
    names = facts.class_names
    if given and set(names or ()) <= set(dataset.class_names):
        names = dataset.class_names  # some of them, in another order: by name, not by place
    real = read_real(dataset, facts.image_shape, names, **vars(reading))
    count = len(given.images) if given else fitting_count(real) if images is None else images
    labelled = given is None or given.labels is not None
    _, left_out = measurable(measures, count, labelled, real)  # an error comes before the work
    if left_out:
        print("Not measured:", "; ".join(f"{name} ({why})" for name, why in left_out.items()))
    with _folder_of_samples(out / "samples", overwrite and denoiser is not None) as folder:
        samples = given or _sample(denoiser, real, range(seed, seed + count), folder, sampling)
        figures, nearest = measure(samples, real, measures, seed, denoiser, network_images)
        figures.update(source=str(source), held_out=held_out)
        print(table(figures))
        text = json.dumps(figures, indent=1, allow_nan=False)
        page = report(figures, samples, real, nearest)
        written = write_outputs({out / FIGURES: text, out / REPORT: page}, overwrite)
    print(f"Written: {written}")


def _open(path, images, seed, trust):
    """(ImageSet or None, Denoiser or None, that of both which has shape and class names)."""
    if _is_images(path):
        given = open_images(path)
        given = given if images is None else given.subset(images, seed)
        return given, None, given
    denoiser = load_denoiser(path, trust)
    return None, denoiser, denoiser.card


def _is_images(path):
    is_run = (path / "config.json").is_file()  # which holds images too
    return path.suffix == ".npz" or (path.is_dir() and not is_run and not is_artifact(path))


def _load_data(
    card, image_shape, data, directory, condition_directory
) -> tuple[ImageDataset, str | None]:
    """(ImageDataset, what is known of its split)."""
    if card is not None:
        return load_as_split(card, data, directory, condition_directory)
    if data is None:
        raise ValueError("`data` must be given: images, unlike models, don't name their data set")
    name, place = name_and_directory(data, directory)
    return load_dataset(name, directory=place, image_size=image_shape[:2]), None


def _folder_of_samples(folder, replace):
    """Where to sample: the folder itself, or one that replaces it when all is done."""
    is_ours = (folder / JOB).is_file()  # of an earlier evaluation
    return staged(folder, True, JOB) if replace and is_ours else contextlib.nullcontext(folder)


def _sample(denoiser, real, seeds, folder, sampling):
    conditions = conditions_to_sample(denoiser.card, real.dataset)
    sample_to_folder(denoiser, conditions, seeds, folder, **sampling.given())
    return open_images(folder, [file_name(file) for file in files_of(seeds)])
