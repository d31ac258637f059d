"""WebDataset tar files: which images are in them, and where; none is unpacked."""

import json
import re
import tarfile
from pathlib import Path

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "ppm")
LABEL_SUFFIXES = ("cls", "json")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


def tar_files(source: str | Path) -> list[Path]:
    """The tar files that a source names, in order: one, a folder of them, or NAME-{000..123}.tar.

    Args:
        source: str or Path. In a folder, other files are passed over.

    Returns:
        list of Path; empty where it names none.
    """
    path, match = Path(source), _RANGE.search(str(source))
    if match and not path.exists():
        first, last = match.groups()
        numbers = range(int(first), int(last) + 1)
        text = str(source)
        paths = [
            Path(f"{text[: match.start()]}{number:0{len(first)}d}{text[match.end() :]}")
            for number in numbers
        ]
        return paths if all(each.suffix == ".tar" for each in paths) else []
    if path.is_dir():
        inside = sorted(each for each in path.iterdir() if not each.name.startswith("."))
        if any(each.is_dir() for each in inside):  # a folder of classes, whatever lies beside them
            return []
        return [each for each in inside if each.suffix == ".tar"]
    return [path] if path.suffix == ".tar" else []


def index_tar(path: str | Path) -> list[tuple[str, int, int, int]]:
    """Where the examples of a WebDataset tar file are.

    Files of the same name up to its first dot are one example: an image, and its class as a number
    in a `.cls` file, or as `label` in a `.json` file. Other files of it are passed over, such as
    `1.mask.png` beside `1.jpg`.

    Args:
        path: path of an uncompressed tar file.

    Returns:
        list of (name of the image, offset, size in bytes, label).

    Raises:
        ValueError: a file that is no such tar, or not a whole one; an example that has not just one
            image and one label.
    """
    examples: dict[str, dict[str, set]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                base = member.name.rpartition("/")[2]
                stem, _, suffix = base.partition(".")
                suffix = suffix.lower()
                kind = suffix.rpartition(".")[2]
                if not (stem and member.isreg() and kind in IMAGE_SUFFIXES + LABEL_SUFFIXES):
                    continue  # without a stem it is hidden, as macOS' ._1.jpg beside 1.jpg
                name = member.name[: len(member.name) - len(base) + len(stem)]
                example = examples.setdefault(name, {"image": set(), "label": set()})
                if suffix in IMAGE_SUFFIXES:
                    example["image"].add((member.name, member.offset_data, member.size))
                elif suffix in LABEL_SUFFIXES:
                    file = tar.extractfile(member)
                    content = b"" if file is None else file.read()
                    label = _label(f"{path}: {member.name}", suffix, content)
                    example["label"] |= set() if label is None else {label}
            _check_end(path, tar.offset)
    except _NoLabelError:
        raise
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read as an uncompressed WebDataset tar: {error}"
        ) from error
    for name, example in examples.items():
        for what, found in example.items():
            if len(found) != 1:
                how_many = f"{len(found)} {what}s" if found else f"no {what}"
                raise ValueError(
                    f"{path}: the example {name} has {how_many}, and must have one: an image in "
                    f"{name}.jpg or such, a label in {name}.cls or as `label` in {name}.json"
                )
    return [(*example["image"].pop(), example["label"].pop()) for example in examples.values()]


def _check_end(path, offset):
    """`tarfile` takes a header that is cut or damaged for the end, if it isn't the first."""
    with open(path, "rb") as file:
        file.seek(offset)
        mark = file.read(tarfile.BLOCKSIZE)
    if mark != bytes(tarfile.BLOCKSIZE):
        raise ValueError(f"at byte {offset} it goes on with no file, nor with the mark of its end")


class _NoLabelError(ValueError):
    """Of a file of a tar that is whole, so that it isn't said of the tar."""


# The class of an example, which a file with such an ending must hold, in words.
_NEEDS = {"cls": "must hold a whole number, the class", "json": "must be JSON with a `label`"}


def _label(called, suffix, content):
    """The class of an example, or None for a .json file that says nothing of it."""
    try:
        if suffix == "cls":
            return int(content.decode("ascii"))
        facts = json.loads(content)
    except ValueError as error:
        raise _NoLabelError(f"{called} {_NEEDS[suffix]}. Received: {content[:20]!r}") from error
    label = facts.get("label") if isinstance(facts, dict) else None
    return label if isinstance(label, int) and not isinstance(label, bool) else None
