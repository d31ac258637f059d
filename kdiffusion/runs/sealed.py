"""JSON files that tell whether they are as they were written: a SHA-256 of the content inside."""

import hashlib
import json
from pathlib import Path

from kdiffusion.files import staged, sync

# Of a run's config.json and of its checkpoints: one can't be read without the other.
FORMAT_VERSION = 3


def write_sealed(path: Path, content: dict) -> None:
    """Writes JSON with its own SHA-256, whole or not at all, and on the disk when this returns.

    Args:
        path: path of the file; one that is there is replaced.
        content: dict that JSON can hold.
    """
    content = {"format_version": FORMAT_VERSION, **content}
    text = json.dumps({**content, "sha256": _seal(content)}, indent=2)
    with staged(path, overwrite=True) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
        sync(temporary)
    sync(Path(path).parent)


def read_sealed(path: Path) -> dict:
    """The content that `write_sealed` wrote.

    Raises:
        FileNotFoundError: no file there.
        ValueError: the file is cut short, was changed since, or is of another version.
    """
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or "format_version" not in content:
        raise ValueError("it has no format_version")
    if content["format_version"] != FORMAT_VERSION:
        raise ValueError(
            f"format_version must be {FORMAT_VERSION}, is {content['format_version']}: the run was "
            "made by another version of this program"
        )
    if content.pop("sha256", None) != _seal(content):
        raise ValueError("its content does not have the SHA-256 that it was written with")
    return content


def _seal(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
