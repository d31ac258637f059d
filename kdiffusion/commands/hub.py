"""`python -m kdiffusion hub SOURCE --out DIR`: a model as the Hugging Face Hub wants it."""

import re
import shlex
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.artifacts.hub import REPOSITORY
from kdiffusion.files import refuse_existing

from .hub_card import UNKNOWN_NAME, Facts
from .hub_folder import MARK, SPACE, read_evaluation, write_hub_folder
from .hub_push import push as upload
from .hub_push import ready
from .sampling_flags import Artifact


def main(
    source: Artifact,
    out: Path,
    push: str | None = None,
    push_space: bool = False,
    private: bool = False,
    name: str | None = None,
    license: str | None = None,
    datasets: tuple[str, ...] | None = None,
    tags: tuple[str, ...] = (),
    evaluation: Path | None = None,
    notes: Path | None = None,
    per_label: int = 8,
    space: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = True,
    best: bool = False,
    overwrite: bool = False,
) -> None:
    """Writes a folder that is ready for the Hugging Face Hub, and uploads it if asked to.

    README.md with the Hub's metadata, the network as ONNX in 32, 16 and 8 bits, as a Keras file
    where the source is a run, a gallery, and the page of `web` as a static Space. An uploaded model
    is opened by every command as hf://owner/name.

    Args:
        source: run directory, folder that `import` wrote, .safetensors file, exported .onnx file,
            the name of a released model, or hf://owner/name.
        out: folder to make.
        push: owner/name to upload to, by huggingface_hub and its token (`hf auth login`); made if
            need be.
        push_space: upload the page too, as a Space of the same name.
        private: make repositories that are new private.
        name: owner/name that README.md speaks of; that of --push if not given.
        license: the Hub's identifier of a licence, such as apache-2.0; a released model's own if
            not given, else none.
        datasets: the data sets' names on the Hub; found by the file's card if not given.
        tags: more tags.
        evaluation: evaluation.json that `evaluate` wrote of this model, for the model index.
        notes: Markdown file to put at the end of README.md: intended use, limits, failures.
        per_label: images of each class in the gallery.
        space: leave the page out, which needs npm.
        best: of a run, take the checkpoint of the lowest validation loss, not the newest.
        overwrite: replace an earlier folder.
    """
    refuse_existing(out, overwrite, MARK)
    if push is None and (push_space or private):
        raise ValueError("`push_space` and `private` must come with `push`. Received: push=None")
    if push_space and not space:
        raise ValueError("`push_space` must come without `--no-space`. Received: both")
    if name is not None and REPOSITORY.fullmatch(name) is None:
        raise ValueError(f"`name` must be owner/name on the Hub. Received: name={name}")
    if license is not None and re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license) is None:
        raise ValueError(
            "`license` must be an identifier of the Hub's list, such as apache-2.0 or 'other'. "
            f"Received: license={license}"
        )
    facts = Facts(
        name=name or push, license=license, datasets=datasets, tags=tags,
        evaluation=None if evaluation is None else read_evaluation(evaluation),
        notes=None if notes is None else notes.read_text(encoding="utf-8"), space=push_space,
    )  # fmt: skip
    api = None if push is None else ready(push)
    files = write_hub_folder(
        source, out, facts, per_label=per_label, space=space, best=best, overwrite=overwrite
    )
    for file, size in files.items():
        print(f"{size / 1e6:8.1f} MB  {out / file}")
    print(f"Written: {out}. Read {out / 'README.md'} before others do.")
    if push is None:
        address = facts.name or UNKNOWN_NAME
        print(f'Upload it: hf upload {address} {shlex.quote(str(out))} --exclude "{SPACE}/*"')
        return
    for kind, where in upload(api, out, push, space=push_space, private=private).items():
        print(f"Uploaded the {kind}: {where}")
    print(f"Draw from it: python -m kdiffusion sample hf://{push}")
