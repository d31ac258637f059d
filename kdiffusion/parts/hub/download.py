"""Models on the Hugging Face Hub: `hf://owner/name`, wherever an exported file could be given.

`hf://owner/name@revision` is a revision of it (a branch, a tag or a commit), and
`hf://owner/name/onnx/model_int8.onnx` one of its files.
"""

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

# What `hf://owner/name` stands for: the first that is there. `kdiffusion hub` writes the first.
OPENED = ("onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx", "denoiser.onnx")
_SOURCE = re.compile(
    r"hf://(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>refs/pr/\d+|[^/@]+))?(/(?P<file>.+))?"
)


def downloaded(source: str, files: Sequence[str] | None = None) -> Path:
    """The file that `source` stands for, from the cache of huggingface_hub or from the Hub.

    Args:
        source: str. `hf://owner/name`, with `@revision`, with `/` and a file of it, or with both.
        files: names of files; where `source` names none, the first that is there. Defaults to
            `OPENED`.

    Raises:
        ValueError: `source` has another form.
        OSError: what huggingface_hub says: no such repository, revision or file, no right to read
            it, or no network.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    match = _SOURCE.fullmatch(source)
    if match is None:
        raise ValueError(f"`source` must be hf://owner/name[@revision][/file]. Received: {source}")
    files = [match["file"]] if match["file"] else files or OPENED
    for file in files:
        with contextlib.suppress(RemoteEntryNotFoundError):
            options = {"revision": match["revision"], "library_name": "kdiffusion"}
            return Path(hf_hub_download(match["repository"], file, **options))
    raise FileNotFoundError(f"{source} must hold one of {', '.join(files)}")
