"""Packs a data set of any size into a folder that training reads (`packed.py`), piece by piece.

What is done is noted beside it, so that a stopped packing goes on.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kdiffusion.files import refuse_existing, staged

from . import tfds_catalog, webdataset
from .folder import list_images
from .loading import DATASETS, check_preparation, load_dataset, name_and_directory
from .packed import (
    DESCRIPTION,
    DONE,
    FILES,
    FORMAT,
    IMAGES,
    LABELS,
    PLAN,
    TRAIN,
    VALIDATION,
    read_labels,
)
from .packing_sources import CHUNK, Item, ItemSource, MemorySource, TfdsSource
from .record_file import RecordFile, create
from .resize import ImageSize

# More than any data set has: what is above is an id, a hash or a time, and a table of names for it
# would fill the memory.
MOST_CLASSES = 2**17
UNFINISHED = ".packing"  # what an unfinished folder is called, after its name


def pack(
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    directory: str | os.PathLike | None = None,
    image_size: ImageSize | None = None,
    validation_fraction: float = 0.1,
    seed: int = 0,
    class_names: Sequence[str] = (),
    horizontal_flip: bool | None = None,
    processes: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> dict:
    """Packs a data set into a folder. Stopped and called again, it goes on.

    Args:
        source: str. A folder with a sub-folder of images for each class; WebDataset tars: one, a
            folder of them, or NAME-{000..123}.tar; or the name of a data set.
        out: path of the folder to write. Until it is whole it is called `out` and `.packing`.
        directory: path. Of a data set that is named: as of `load_dataset`.
        image_size, validation_fraction, seed: as of `load_dataset`.
        class_names: texts, for WebDataset tars, whose classes are numbers. Defaults to those.
        horizontal_flip: bool. Whether a mirror image is as good an example; None for what is known
            of the data set, and False of files.
        processes: int. How many decode files at a time; None for one per core.
        overwrite: bool. Whether a packed folder may be replaced. Defaults to `False`.
        progress: bool. Whether to show bars. Defaults to `True`.

    Returns:
        dict: what `packed.json` says.

    Raises:
        ValueError: an argument out of its range; an `out` inside of the source; a source that can't
            be used, by the name of the file at fault; an unfinished folder of another source or
            other arguments.
        FileExistsError: `out` exists.
    """
    out = Path(out)
    refuse_existing(out, overwrite, DESCRIPTION)
    check_preparation(image_size, validation_fraction, seed)
    if processes is None:
        processes = os.cpu_count() or 1
    if processes < 1:
        raise ValueError(f"`processes` must be at least 1. Received: processes={processes}")
    found = _source(
        source, out, directory, image_size, validation_fraction, seed, class_names, processes,
        progress,
    )  # fmt: skip
    flip = found.horizontal_flip if horizontal_flip is None else horizontal_flip
    settings = [image_size, validation_fraction, seed, list(found.class_names), flip]
    plan = hashlib.sha256(json.dumps([found.identity, settings]).encode()).hexdigest()
    work = out.with_name(out.name + UNFINISHED)
    out.parent.mkdir(parents=True, exist_ok=True)
    with _working_folder(work):
        shape, labels, done = _begin(work, plan, found)
        _fill(work, found, shape, labels, done, progress)
        description = {
            "format": FORMAT,
            "source": Path(source).name,
            "class_names": list(found.class_names),
            "horizontal_flip": flip,
            "image_shape": [int(side) for side in shape],
            "images": {part: len(part_labels) for part, part_labels in labels.items()},
            "content_hash": _content_hash(work, found.class_names, shape, labels, progress),
        }
        text = json.dumps(description, indent=2) + "\n"
        (work / DESCRIPTION).write_text(text, encoding="utf-8")
        refuse_existing(out, overwrite, DESCRIPTION)
        if os.path.lexists(out):
            with staged(out, overwrite, DESCRIPTION) as place:
                work.rename(place)
        else:
            work.rename(out)
        # Last: killed before, it goes on by its plan.
        for name in (PLAN, DONE):
            (out / name).unlink()
    return description


@contextlib.contextmanager
def _working_folder(work):
    """Makes the folder if need be, and leaves none that is empty."""
    if os.path.lexists(work) and (not work.is_dir() or work.is_symlink()):
        raise FileExistsError(f"{work} is in the way. Move it away, or choose another place")
    work.mkdir(exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # it holds what was done
            work.rmdir()
        raise


def _fill(work, found, shape, labels, done, progress):
    """Writes what is not done yet, and notes it beside."""
    with (
        (work / DONE).open("a") as notes,
        tqdm(
            total=sum(map(len, labels.values())),
            initial=sum(done.values()),
            desc="Packing",
            unit="image",
            disable=not progress,
        ) as bar,
    ):

        def note(piece, images):
            notes.write(f"{piece} {images}\n")
            notes.flush()
            bar.update(images)

        found.fill(work, shape, done, note)


def _source(
    source, out, directory, image_size, validation_fraction, seed, class_names, processes, progress
):
    files = (image_size, validation_fraction, seed, processes, progress)
    tars = webdataset.tar_files(source)
    if class_names and not tars:
        raise ValueError(
            "`class_names` are for WebDataset tars, whose classes are numbers. "
            f"Received: class_names={tuple(class_names)}, source={source}"
        )
    if tars and directory is not None:
        raise ValueError(
            "`directory` is for a data set that is named, and the source is WebDataset tars. "
            f"Received: directory={str(directory)!r}"
        )
    if tars:
        _refuse_inside(out, source)
        items = [
            Item(str(path), label, offset, size, name)
            for path in tars
            for name, offset, size, label in webdataset.index_tar(path)
        ]
        return ItemSource(items, _tar_classes(items, class_names), *files)
    name, directory = name_and_directory(str(source), directory)
    if name == "packed":
        raise ValueError(f"`source` must not be packed already. Received: {source}")
    if name == "folder":
        _refuse_inside(out, directory or "")
        listed = list_images(Path(directory or ""))
        items = [
            Item(str(path), label) for label, paths in enumerate(listed.values()) for path in paths
        ]
        return ItemSource(items, tuple(listed), *files)
    if DATASETS.get(name, tfds_catalog.load_tfds) is tfds_catalog.load_tfds:
        return TfdsSource(name, directory, image_size, validation_fraction, seed, DATASETS)
    dataset = load_dataset(
        name,
        directory=directory,
        image_size=image_size,
        validation_fraction=validation_fraction,
        seed=seed,
    )
    return MemorySource(dataset)


def _refuse_inside(out, source):
    """Refuses a place whose folder would be one of the source's classes when packing goes on."""
    folder = Path(source).resolve()
    if folder.is_dir() and folder in (out.resolve(), *out.resolve().parents):
        raise ValueError(
            f"`out` must lie outside of the folder that is packed, {source}. Received: out={out}"
        )


def _tar_classes(items, class_names):
    labels = {item.label for item in items}
    if not labels:
        raise ValueError("the tar files must hold one example at least. Received: none")
    if len(set(class_names)) < len(class_names):
        raise ValueError(f"`class_names` must differ. Received: {', '.join(class_names)}")
    if min(labels) < 0 or (class_names and max(labels) >= len(class_names)):
        raise ValueError(
            f"classes must be from 0 to {len(class_names) - 1 if class_names else '...'}, one for "
            f"each of `class_names`. Received: {min(labels)} to {max(labels)}"
        )
    if max(labels) >= MOST_CLASSES:
        raise ValueError(
            f"classes must be numbers from 0 on, below {MOST_CLASSES:,}; a hash or a time is none. "
            f"Received: {max(labels)}"
        )
    return tuple(class_names) or tuple(map(str, range(max(labels) + 1)))


def _begin(work, plan, found):
    """(image shape, {part: labels}, {piece: images done}) of a new or an unfinished folder."""
    path = work / PLAN
    if path.is_file():
        begun = json.loads(path.read_text(encoding="utf-8"))
        if begun["plan"] != plan:
            raise ValueError(
                f"{work} is the unfinished packing of another source, or with other arguments. "
                "Give those again, with as many files, to finish it, or remove it"
            )
        labels = {part: read_labels(work / file) for part, file in LABELS.items()}
        height, width, channels = begun["image_shape"]
        return (height, width, channels), labels, _done(work / DONE)
    _clear_begun(work)
    (height, width, channels), labels = found.look()
    shape = int(height), int(width), int(channels)
    for part, part_labels in labels.items():
        np.save(work / LABELS[part], part_labels)
        create(work / IMAGES[part], (len(part_labels), *shape))
    begun = {"plan": plan, "image_shape": shape}
    # The plan comes last: a folder without it has no image yet.
    with staged(path) as new:
        new.write_text(json.dumps(begun), encoding="utf-8")
    return shape, labels, {}


def _clear_begun(work):
    """Empties a folder that was begun and holds nothing but what packing makes."""
    ours = (*FILES, DONE, "plan.new")
    inside = list(work.iterdir())
    strange = [path.name for path in inside if path.name not in ours]
    if strange:
        raise FileExistsError(
            f"{work} holds {strange[0]}, which packing did not write. Move it away, or choose "
            "another place"
        )
    for path in inside:
        path.unlink()


def _done(path):
    """{piece: how many images} of the lines that are whole."""
    if not path.is_file():
        return {}
    text = path.read_text()
    lines = text[: text.rfind("\n") + 1].splitlines()
    path.write_text("".join(f"{line}\n" for line in lines))  # a line that was cut goes
    pieces = (line.rpartition(" ") for line in lines)
    return {piece: int(images) for piece, _, images in pieces}


def _content_hash(folder, class_names, shape, labels, progress):
    """As `ImageDataset.content_hash`, of images that are read piece by piece."""
    shape = tuple(int(side) for side in shape)
    digest = hashlib.sha256(repr((tuple(class_names), shape)).encode())
    images = {
        part: RecordFile(Path(folder, IMAGES[part]), (len(labels[part]), *shape)) for part in labels
    }
    total = sum(map(len, images.values()))
    with tqdm(total=total, desc="Hashing", unit="image", disable=not progress) as bar:
        for part in (TRAIN, VALIDATION):
            digest.update(f"{len(images[part])}\0".encode())
            for first in range(0, len(images[part]), CHUNK):
                rows = images[part][first : first + CHUNK]
                digest.update(rows.data)
                bar.update(len(rows))
            digest.update(f"{len(labels[part])}\0".encode())
            digest.update(np.ascontiguousarray(labels[part]).data)
    return digest.hexdigest()
