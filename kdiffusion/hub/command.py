"""`python -m kdiffusion hub SOURCE --out DIR`: a model as the Hugging Face Hub wants it."""

import shlex
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.commands.inputs import Artifact
from kdiffusion.files import refuse_existing

from .card import Facts
from .folder import MARK, SPACE, read_evaluation, upload, write_hub_folder


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

    README.md with the Hub's metadata, the network as ONNX in 32, 16 and 8 bits, as safetensors and
    as a Keras file, a gallery, and the page of `web` as a static Space. Every command opens an
    uploaded model as hf://owner/name.

    Args:
        source: run directory, folder that `import` wrote, .safetensors file, exported .onnx file
            (published alone), the name of a released model, or hf://owner/name.
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
    if push is not None:  # an error about the token comes before the work
        from huggingface_hub import HfApi

        HfApi().whoami()
    facts = Facts(
        name=name or push or Facts.name,
        license=license,
        datasets=datasets,
        tags=tags,
        evaluation=None if evaluation is None else read_evaluation(evaluation),
        notes="" if notes is None else notes.read_text(encoding="utf-8"),
        space=push_space,
    )
    files = write_hub_folder(
        source, out, facts, per_label=per_label, space=space, best=best, overwrite=overwrite
    )
    for file, size in files.items():
        print(f"{size / 1e6:8.1f} MB  {out / file}")
    print(f"Written: {out}. Read {out / 'README.md'} before others do.")
    if push is None:
        place = shlex.quote(str(out))
        print(f'Upload it: hf upload {facts.name} {place} --exclude "{SPACE}/*"')
        return
    for kind, where in upload(out, push, space=push_space, private=private).items():
        print(f"Uploaded the {kind}: {where}")
    print(f"Sample from it: python -m kdiffusion sample hf://{push}")
