"""Models on the Hugging Face Hub: `hf://owner/name`, wherever an exported file could be given.

`hf://owner/name@revision` opens it as it was then, `hf://owner/name/onnx/model_int8.onnx` one file
of it. huggingface_hub, which is optional, downloads it, and keeps it in its cache.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from kdiffusion.terminal import errors_alone, working

from .denoiser import ArtifactError

SCHEME = "hf://"
# What a name alone stands for: the first that is there. `kdiffusion hub` writes the first three.
FILES = (
    "onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx", "denoiser.onnx",
    "denoiser_float16.onnx",
)  # fmt: skip
REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
# A Path has one slash where two were.
_SOURCE = re.compile(
    rf"hf:/{{1,2}}(?P<repository>{REPOSITORY.pattern})(@(?P<revision>refs/pr/\d+|[\w.-]+))?"
    r"(/(?P<file>[^@]+))?"
)
INSTALL = "`pip install huggingface_hub`"  # or the extra `hub`
# By the class of an error of huggingface_hub, whose own words are several lines about requests.
_REASONS = {
    "GatedRepoError": "its owner lets readers in one by one: ask on its page, and log in by "
    "`hf auth login`",
    "RepositoryNotFoundError": "the Hub has no such repository; or it is private, and `hf auth "
    "login` was not done by one of its readers",
    "RevisionNotFoundError": "it has no such revision",
    "RemoteEntryNotFoundError": "it has no such file",
    "LocalEntryNotFoundError": "the Hub can't be reached, and it was not downloaded before",
    "LocalTokenNotFoundError": "no token is there: `hf auth login`, or set HF_TOKEN",
}


def is_on_hub(source: str | os.PathLike) -> bool:
    """Whether a user's word begins as that of a model on the Hub does."""
    return Path(source).as_posix().startswith("hf:/")


def spelled(source: str | os.PathLike) -> str:
    """A user's word as it was written: a Path makes `hf:/owner/name` of `hf://owner/name`."""
    text = Path(source).as_posix()
    return SCHEME + text.removeprefix("hf:").lstrip("/") if is_on_hub(source) else str(source)


def downloaded(source: str | os.PathLike) -> Path:
    """The file that a word stands for, downloaded unless it was before.

    Args:
        source: `hf://owner/name`, with `@revision` (a branch, a tag or a commit), with `/` and a
            file of it, or with both.

    Returns:
        Path in the cache of huggingface_hub.

    Raises:
        ArtifactError: a word of another form, huggingface_hub isn't installed, or what the Hub
            says: no such repository, revision or file, no right to read it, no network.
    """
    word = spelled(source)
    match = _SOURCE.fullmatch(word)
    if match is None:
        raise ArtifactError(
            "A model on the Hub must be given as hf://owner/name, hf://owner/name@revision or "
            f"hf://owner/name@revision/file. Received: {word}"
        )
    hub = library(f"{word} is on the Hub")
    only_here, missing = False, None
    for file in (match["file"],) if match["file"] else FILES:
        try:
            with working(f"asking the Hub for {word}"), quiet():
                path = hub.hf_hub_download(
                    match["repository"], file, revision=match["revision"],
                    library_name="kdiffusion", local_files_only=only_here,
                )  # fmt: skip
            return Path(path)
        except hub.errors.LocalEntryNotFoundError as error:
            only_here, missing = True, error
            # The next file stands for the model only where this one is known not to be there.
            known = hub.try_to_load_from_cache(
                match["repository"], file, revision=match["revision"]
            )
            if known is not hub._CACHED_NO_EXIST:
                break
        except hub.errors.EntryNotFoundError as error:
            missing = error
        except Exception as error:  # its own, and those of the network below it
            missing = error
            break
    if isinstance(missing, hub.errors.EntryNotFoundError) and not only_here:
        needed = match["file"] or f"one of {', '.join(FILES)}"
        diffusers = "" if match["file"] else ". `import` reads models of diffusers"
        raise ArtifactError(f"{word} must hold {needed}, and doesn't{diffusers}") from missing
    raise ArtifactError(f"{word} can't be downloaded: {reason(missing)}") from missing


def library(why: str) -> ModuleType:
    """The package huggingface_hub.

    Args:
        why: str. Why it is needed, for the error.

    Raises:
        ArtifactError: it isn't installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise ArtifactError(f"{why}, which needs a library that isn't here: {INSTALL}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps huggingface_hub from printing each attempt at a request: what fails is raised too."""
    importlib.import_module("huggingface_hub.utils.logging")  # sets a level of its own
    with errors_alone("huggingface_hub"):
        yield


def reason(error: BaseException | None) -> str:
    """An error of huggingface_hub, or of the network below it, in one line."""
    for kind in type(error).__mro__:
        if kind.__name__ in _REASONS:
            return _REASONS[kind.__name__]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines)[:300] or type(error).__name__
