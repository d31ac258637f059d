"""The seal of an exported file: the SHA-256 of its own bytes, so that damage is never drawn from.

A flipped bit in a weight leaves a file that every runtime opens, and that draws other images. The
seal shows damage, not fraud: whoever can change the file can seal it again. A tool that means to
rewrite an exported file drops the seal with its metadata; without one, nothing is compared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from .denoiser import ArtifactError

# A format writes this, uncompressed, in one place among its bytes, and `seal` fills it in.
UNSEALED = "kdiffusion-sha256:" + 64 * "0"
_SEAL = re.compile(rb"kdiffusion-sha256:(.{64})", re.DOTALL)  # a damaged digest is one too


def seal(path: Path, parts: Sequence[str]) -> None:
    """Puts the digest of an artifact in the place that its format left for it.

    Args:
        path: Path of the file or the folder.
        parts: patterns of the files that belong to it, below a folder; empty for a single file.
    """
    contents = _contents(path, parts)
    sealed = (UNSEALED[:-64] + _digest(path, contents)).encode()
    for file, content in contents.items():
        if UNSEALED.encode() in content:
            file.write_bytes(content.replace(UNSEALED.encode(), sealed))


def check_seal(path: Path, parts: Sequence[str] = ()) -> None:
    """Refuses an artifact whose bytes are not those that it was exported with.

    Args:
        path, parts: as in `seal`.

    Raises:
        ArtifactError: they differ.
    """
    contents = _contents(path, parts)
    seals = {match.group(1) for content in contents.values() for match in _SEAL.finditer(content)}
    if seals and seals != {UNSEALED[-64:].encode()} and seals != {_digest(path, contents).encode()}:
        raise ArtifactError(
            f"{path} is damaged, or was changed by another tool: its SHA-256 is not that of its "
            "export. Export it again with `python -m kdiffusion export RUN_DIR`"
        )


def _contents(path, parts):
    """The bytes of each file, by its path, in the order of their names."""
    if not path.is_dir():
        return {path: path.read_bytes()}
    files = {file for part in parts for file in path.glob(part) if file.is_file()}
    return {file: file.read_bytes() for file in sorted(files)}


def _digest(path, contents):
    """SHA-256 over names and bytes as they were before the seal, in hexadecimal."""
    total = hashlib.sha256()
    for file, content in contents.items():
        unsealed = _SEAL.sub(UNSEALED.encode(), content)
        # A file alone may be renamed. Lengths: no byte can pass from one file to the next.
        name = "" if file == path else file.relative_to(path).as_posix()
        total.update(f"{name}\0{len(unsealed)}\0".encode())
        total.update(unsealed)
    return total.hexdigest()
