"""Uploads a folder of `hub` by huggingface_hub: one commit, so that all of it appears at once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdiffusion.artifacts import ArtifactError, hub

from .hub_folder import MANIFEST, SPACE
from .site import MANIFEST as SITE_MANIFEST

MESSAGE = "Upload by kdiffusion hub"
MANIFESTS = {"model": MANIFEST, "space": SITE_MANIFEST}


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

    A repository that is there gets one more commit. Of the files that an earlier upload left, those
    that aren't in the folder any longer are removed.

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
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    sdk = {"space_sdk": "static"} if kind == "space" else {}
    # None: as the owner's settings say, where nothing was asked for.
    made = api.create_repo(name, repo_type=kind, exist_ok=True, private=private or None, **sdk)
    files = {
        path.relative_to(place).as_posix(): path
        for path in sorted(place.rglob("*"))
        if path.is_file() and (kind == "space" or SPACE not in path.relative_to(place).parts)
    }
    operations = [CommitOperationAdd(each, str(path)) for each, path in files.items()]
    stale = _uploaded_before(api, name, kind) - files.keys()
    operations += [CommitOperationDelete(each) for each in sorted(stale)]
    api.create_commit(name, operations, commit_message=MESSAGE, repo_type=kind)
    return str(made)


def _uploaded_before(api, name, kind):
    """What an earlier upload lists as its own, and is still there."""
    there = set(api.list_repo_files(name, repo_type=kind))
    if MANIFESTS[kind] not in there:
        return set()
    listed = Path(api.hf_hub_download(name, MANIFESTS[kind], repo_type=kind))
    try:
        return there & set(json.loads(listed.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError):  # somebody else's file of that name
        return set()


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    """Makes whatever the Hub or the network says one line."""
    try:
        with hub.quiet():
            yield
    except Exception as error:  # huggingface_hub's own, and those of the network below it
        raise ArtifactError(f"{what}: {hub.reason(error)}") from error
