"""What a run was made with, and from which step on: settings that were changed, and versions."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdiffusion.runs.config import Config

# What opens, draws and writes files after training; `export` is in the package only if installed.
AFTER_TRAINING = ("artifacts", "commands", "export")


def flat_settings(config: Config) -> dict[str, Any]:
    """{"section.field": value} of a `Config`, the values as in JSON."""
    content = json.loads(config.to_json())
    sections = {name: value for name, value in content.items() if isinstance(value, dict)}
    return {
        f"{section}.{name}": value
        for section, fields in sections.items()
        for name, value in fields.items()
    }


def changed_settings(before: Config, now: Config) -> dict[str, Any]:
    """{"section.field": {"was": ..., "is": ...}} of the settings that differ in two `Config`s."""
    was, is_now = flat_settings(before), flat_settings(now)
    return {
        name: {"was": was[name], "is": is_now[name]} for name in was if was[name] != is_now[name]
    }


def versions() -> dict[str, str]:
    """What computes: versions of Python, TensorFlow and Keras, and a digest of this code."""
    import keras
    import tensorflow as tf

    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "kdiffusion": f"code {code_digest()}",
    }


def code_digest() -> str:
    """Twelve hexadecimal digits of a SHA-256 over the files that train, names and bytes."""
    folder = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        name = file.relative_to(folder)
        if name.parts[0] not in AFTER_TRAINING:
            digest.update(f"{name.as_posix()}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def extended(
    history: Iterable[dict], changed: dict[str, Any], step: int, now: dict[str, str]
) -> tuple[dict, ...]:
    """The history of a run that begins or goes on.

    Args:
        history: sequence of entries, each `{"from_step", "versions", "changed"}`.
        changed: that of `changed_settings`.
        step: int. The step to go on from; 0 begins.
        now: that of `versions`.

    Returns:
        tuple of entries. One more than before, unless nothing changed.
    """
    # What was changed in steps that the run goes back behind holds from here.
    entries = [{**entry, "from_step": min(entry["from_step"], step)} for entry in history]
    if changed or not entries or entries[-1]["versions"] != now:
        entries.append({"from_step": step, "versions": now, "changed": changed})
    return tuple(entries)


def said_of(history: tuple[dict, ...], before: tuple[dict, ...]) -> list[str]:
    """One line for each change of the newest entry, if it is not among those before.

    Args:
        history: that of `extended`.
        before: the history that it extends.
    """
    if len(history) == len(before):
        return []
    entry = history[-1]
    lines = [
        f"From step {entry['from_step']} on, {name} is {change['is']}; it was {change['was']}."
        for name, change in entry["changed"].items()
    ]
    if before:
        old, new = before[-1]["versions"], entry["versions"]
        lines += [
            f"From step {entry['from_step']} on, {name} is {new[name]}; it was {old.get(name)}. "
            "The run goes on, but perhaps not with the very same bits."
            for name in new
            if old.get(name) != new[name]
        ]
    return lines
