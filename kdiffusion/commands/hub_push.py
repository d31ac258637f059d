"""Uploads a folder of `hub` by huggingface_hub: one commit, so that all of it appears at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdiffusion.artifacts import ArtifactError, hub

from .hub_folder import KERAS, NAMES, SPACE

MESSAGE = "Upload by kdiffusion hub"
# What an earlier upload may have left and this one may lack.
WRITTEN = [*NAMES.values(), KERAS, "gallery.png", "evaluation.json"]


def ready(name: str) -> Any:
    """Refuses, before the work, what can't be uploaded: no library, no token, no network.

    Args:
        name: str, `owner/name`.

    Returns:
        HfApi of huggingface_hub.

    Raises:
        ValueError: `name` is no such name.
        ArtifactError: huggingface_hub isn't installed, or can't log in.
    """
    if hub.REPOSITORY.fullmatch(name) is None:
        raise ValueError(f"`push` must be owner/name on the Hub. Received: push={name}")
    api = hub.library("`push` uploads").HfApi(library_name="kdiffusion")
    with _telling(f"`push` can't log in to {api.endpoint}"):
        api.whoami()
    return api


def push(api: Any, folder: Path, name: str, *, space: bool, private: bool) -> dict[str, str]:
    """Uploads a folder that `write_hub_folder` made, the Space to a repository of its own.

    A repository that is there gets one more commit. It removes networks of an earlier upload that
    the folder lacks.

    Args:
        api: HfApi, from `ready`.
        folder: Path.
        name: str, `owner/name`.
        space: bool. Whether to upload the Space as well.
        private: bool. Whether repositories that are new are private.

    Returns:
        dict from what was uploaded ("model", "space") to its address.

    Raises:
        ArtifactError: what the Hub says.
    """
    kinds = {"model": folder, **({"space": folder / SPACE} if space else {})}
    addresses = {}
    for kind, place in kinds.items():
        with _telling(f"{folder} is written, but its {kind} can't be uploaded to {name}"):
            addresses[kind] = _push(api, place, name, kind, private)
    return addresses


def _push(api, place, name, kind, private):
    sdk = {"space_sdk": "static"} if kind == "space" else {}
    # None: as the owner's settings say, where nothing was asked for.
    made = api.create_repo(name, repo_type=kind, exist_ok=True, private=private or None, **sdk)
    api.upload_folder(
        repo_id=name,
        repo_type=kind,
        folder_path=place,
        commit_message=MESSAGE,
        ignore_patterns=[".kdiffusion-*"] if kind == "space" else [".kdiffusion-*", f"{SPACE}/*"],
        delete_patterns=[] if kind == "space" else WRITTEN,
    )
    return str(made)


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    """Makes whatever the Hub or the network says one line."""
    try:
        with hub.quiet():
            yield
    except Exception as error:  # huggingface_hub's own, and those of the network below it
        raise ArtifactError(f"{what}: {hub.reason(error)}") from error
