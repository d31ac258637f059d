"""`python -m kdiffusion evaluate SOURCE`: how good drawn images are, by measures that people trust.

It runs without TensorFlow, but for a data set of TFDS and a SavedModel.
"""

import contextlib
import inspect
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from kdiffusion.artifacts import is_artifact, load_denoiser
from kdiffusion.artifacts.released import as_written, existing
from kdiffusion.checks import check_seed, check_whole
from kdiffusion.data import load_dataset, name_and_directory
from kdiffusion.diffusion.plan import make_plan
from kdiffusion.evaluation.class_shares import labels_in_turn
from kdiffusion.evaluation.image_sets import open_images
from kdiffusion.evaluation.job import Job, run_job
from kdiffusion.evaluation.measures import MEASURES
from kdiffusion.files import staged

from .held_out import load_as_split
from .outputs import refuse_outputs
from .sampling_flags import AS_RECOMMENDED, Artifact, Sampling
from .seed_files import JOB, file_name, files_of, sample_to_folder

if TYPE_CHECKING:  # A type checker can't know the tables' names.
    MeasureName = str
else:
    MeasureName = tyro.extras.literal_type_from_choices(list(MEASURES))
IMAGES = 5000
NETWORK_IMAGES = 500


def main(
    source: Artifact,
    data: str | None = None,
    directory: Path | None = None,
    images: int | None = None,
    measures: tuple[MeasureName, ...] | None = None,
    features: str | None = None,
    feature_size: int | None = None,
    feature_range: tuple[float, float] = (0.0, 255.0),
    feature_output: str | None = None,
    judge: str | None = None,
    network_images: int | None = None,
    seed: int = 0,
    sampling: Sampling = AS_RECOMMENDED,
    out: Path = Path("evaluation"),
    save_statistics: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Measures drawn images against real ones: a table, evaluation.json and report.html.

    What was drawn stays in the folder `drawn` of --out. Stopped and started again, it goes on. What
    was computed of real images is cached; docs/evaluation.md says where, and explains each measure.

    Args:
        source: an exported file or folder, from which images are drawn; a folder of images; a
            folder of `kdiffusion sample_many`; or an NPZ file with `images` or `arr_0`.
        data: name of the real data set, a folder with a sub-folder for each class, or an NPZ file
            of statistics (mu, sigma). What the model was trained on if not given.
        directory: where it lies: an image folder's, or TFDS's data directory.
        images: how many to draw, 5000 if not given; or how many of a folder's or a file's to take,
            all if not given.
        measures: which; all that can be taken if not given.
        features: `judge`, `pixels`, `random_conv`, or the path of an ONNX network. The judge's if
            not given, or random_conv where there is no judge.
        feature_size: height and width that such a network takes, where its file does not fix them.
        feature_range: what pixels of 0 and of 255 become for such a network.
        feature_output: name of its output with the features, where it has several.
        judge: name or ONNX file of a judge; the one of the data set if not given.
        network_images: held-out images on which the network's errors are measured, without
            drawing; 0 for none, 500 if not given. Only for an exported file.
        seed: of the first image to draw, and of the subsets that measures take.
        out: folder to write into.
        save_statistics: NPZ file for mean and covariance of the real features, if wanted.
        overwrite: remove an earlier evaluation and what was drawn for it, and draw again.
    """
    paths = {name: out / name for name in ("evaluation.json", "report.html")}
    refuse_outputs(*paths.values(), overwrite=overwrite)
    # An earlier file of statistics may stay, if it holds the same: that is seen further down.
    refuse_outputs(*paths.values(), save_statistics, overwrite=True)
    job = Job(
        measures=measures, features=features, feature_size=feature_size,
        feature_range=feature_range, feature_output=feature_output, judge=judge, seed=seed,
    )  # fmt: skip
    if network_images is not None and (network_images < 0 or network_images == 1):
        raise ValueError(
            f"`network_images` must be 0 or at least 2. Received: network_images={network_images}"
        )
    if save_statistics is not None and data is not None and data.endswith(".npz"):
        raise ValueError(
            f"`save_statistics` needs real images, and `data` is statistics. Received: data={data}"
        )
    check_seed(seed)
    denoiser = None
    name, path = as_written(source), existing(source)
    if _is_images(path):
        if sampling != AS_RECOMMENDED:
            raise ValueError(f"Sampling options are for an exported file. Received: {path}")
        if network_images is not None:
            raise ValueError(
                "`network_images` is for an exported file, whose network it measures. "
                f"Received: network_images={network_images}, {path}"
            )
        drawn = open_images(path)
        drawn = drawn if images is None else drawn.subset(images, seed)
        real, held_out = _real(data, directory, images=drawn)
        names = drawn.class_names
        if not isinstance(real, Path) and names and set(names) <= set(real.class_names):
            names = real.class_names  # some of them, in another order: by name, not by place
        prepared = job.prepare(drawn.image_shape, names, real)
        prepared.check(drawn.count, drawn.labels is not None)
        _save_statistics(prepared, save_statistics, overwrite)
    else:
        denoiser = load_denoiser(path)
        card = denoiser.card
        count = check_whole("images", IMAGES if images is None else images)
        check_seed(seed + count - 1)  # the last image's
        real, held_out = _real(data, directory, card=card)
        if isinstance(real, Path) and network_images:
            raise ValueError(
                "`network_images` needs real images, and `data` is statistics. "
                f"Received: network_images={network_images}, {data}"
            )
        prepared = job.prepare(card.image_shape, card.class_names, real)
        place = directory
        if data is not None and not isinstance(real, Path):
            place = name_and_directory(data, directory)[1]
        if prepared.reader.judge is not None and _is_split_otherwise(card, real, place):
            held_out = f"{held_out} A judge is trained with the default split, and may know them."
        prepared.check(count, labelled=True)
        _save_statistics(prepared, save_statistics, overwrite)
        labels, counts = range(len(card.class_names)), prepared.real.class_counts
        if counts is not None and len(counts) == len(labels):  # not where it has no classes
            labels = labels_in_turn(counts)
        seeds = range(seed, seed + count)
        drawn = _draw(denoiser, labels, seeds, out / "drawn", sampling, paths.values(), overwrite)
    network_images = NETWORK_IMAGES if network_images is None else network_images
    result = run_job(prepared, drawn, name, held_out, denoiser, network_images)
    print(result.table)
    contents = {
        paths["evaluation.json"]: json.dumps(result.figures, indent=1, allow_nan=False).encode(),
        paths["report.html"]: result.report.encode(),
    }
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            stack.enter_context(staged(path, overwrite)).write_bytes(content)
    print(f"Written: {', '.join(map(str, filter(None, (*contents, save_statistics))))}")


def _save_statistics(prepared, path, overwrite):
    """Before anything is drawn, on which they don't depend."""
    if path is None:
        return
    content = prepared.statistics_file()
    if path.is_file() and path.read_bytes() == content:  # of this command, which was stopped
        return
    with staged(path, overwrite) as temporary:
        temporary.write_bytes(content)


def _is_images(path):
    is_run = (path / "config.json").is_file()  # which holds images too; the loader says more
    return path.suffix == ".npz" or (path.is_dir() and not is_run and not is_artifact(path))


def _real(data, directory, images: Any = None, card=None):
    """(ImageDataset or the path of a file of statistics, what is known of its split)."""
    if data is None and card is not None:  # a name, never a path: it is the file that says it
        return load_as_split(card, card.dataset, directory)
    if data is None:
        raise ValueError("`data` must be given: the images do not say what they should look like")
    if data.endswith(".npz"):
        if directory is not None:
            raise ValueError(
                "`directory` must not be given where `data` is a file of statistics. "
                f"Received: directory={str(directory)!r}, data={data!r}"
            )
        return Path(data), None
    name, directory = name_and_directory(data, directory)
    if card is not None:
        return load_as_split(card, name, directory)
    return load_dataset(name, directory=directory, image_size=images.image_shape[:2]), None


def _is_split_otherwise(card, real, directory):
    """Whether other images may be held out than by default, which is how `train_judge` splits."""
    split = card.data_split
    if split is None or isinstance(real, Path):
        return False
    if real.name == "packed":
        return True
    default = inspect.signature(load_dataset).parameters
    if (split.seed, split.validation_fraction) == (
        default["seed"].default, default["validation_fraction"].default,
    ):  # fmt: skip
        return False
    usual = load_dataset(real.name, directory=directory, image_size=real.image_shape[:2])
    return usual.content_hash() != real.content_hash()


def _draw(denoiser, labels, seeds, folder, sampling, written, overwrite):
    if overwrite:
        make_plan(denoiser, sampling.options())  # refuses before it removes
        check_whole("batch_size", sampling.batch_size)
        if (folder / JOB).is_file():  # of an earlier evaluation
            shutil.rmtree(folder)
        for path in written:  # so that, stopped, the same command goes on without --overwrite
            path.unlink(missing_ok=True)
    sample_to_folder(denoiser, labels, seeds, folder, **sampling.given())
    return open_images(folder, [file_name(file) for file in files_of(seeds)])
