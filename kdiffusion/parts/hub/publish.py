"""`python -m kdiffusion hub SOURCE --out DIR`: a model as the Hugging Face Hub wants it."""

import dataclasses
import json
import shlex
import shutil
from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.artifacts import load_denoiser, onnx_loader
from kdiffusion.artifacts.released import existing, released_models
from kdiffusion.atomic_files import staged
from kdiffusion.commands.inputs import Artifact
from kdiffusion.diffusion.sampling import sample_by_class
from kdiffusion.export.formats import export_network
from kdiffusion.export.source import inference_network, read_source
from kdiffusion.images import image_grid, save_png, to_uint8
from kdiffusion.terminal import working

MARK = ".kdiffusion-hub"  # an empty file: a folder that holds it may be replaced
SPACE = "space"
GALLERY_COLUMNS = 8  # images of each class
# Formats ► the names that others look for (Transformers.js, Optimum), and what each file is.
FILES = {
    "onnx": ("onnx/model.onnx", "the network with its card, to sample with"),
    "onnx_float16": ("onnx/model_fp16.onnx", "its weights in 16 bits, computed in float32"),
    "onnx_int8": ("onnx/model_int8.onnx", "its large kernels in 8 bits, computed in float32"),
    "safetensors": ("denoiser.safetensors", "its weights, to train from (`--run.init-from`)"),
    "keras": ("model.keras", "the same as a Keras model"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What a user says about a model, beyond its files.

    Args:
        name: str, `owner/name` on the Hub.
        license: str. The Hub's identifier of a licence.
        evaluation: dict of evaluation.json.
        notes: str, Markdown to put at the end.
    """

    name: str = "OWNER/NAME"
    license: str | None = None
    evaluation: dict | None = None
    notes: str = ""


def main(
    source: Artifact,
    out: Path,
    name: str = Facts.name,
    license: str | None = None,
    evaluation: Path | None = None,
    notes: Path | None = None,
    space: Annotated[bool, tyro.conf.arg(help_behavior_hint="")] = True,
    overwrite: bool = False,
) -> None:
    """Writes a folder for the Hugging Face Hub, and prints how to upload it.

    It has a model card, the network in several formats, samples, and a Space.

    Args:
        source: a run's folder, an imported folder, a .safetensors file, an exported .onnx file
            (published alone), a pretrained model's name, or hf://owner/name.
        out: folder to write.
        name: owner/name on the Hub, for README.md.
        license: the Hub's identifier of a licence, such as apache-2.0.
        evaluation: evaluation.json that `evaluate` wrote for this model.
        notes: Markdown file to append to README.md: intended use, limits, failures.
        space: leave out the page, which needs npm.
        overwrite: replace an earlier folder.
    """
    from .card import model_readme, space_readme  # needs a package that --help doesn't

    figures = None if evaluation is None else read_evaluation(evaluation)
    text = "" if notes is None else notes.read_text(encoding="utf-8")
    facts = Facts(name=name, license=license, evaluation=figures, notes=text)
    with staged(out, overwrite, MARK) as place:
        place.mkdir()
        (place / MARK).touch()
        with working(f"writing the networks of {source}", line=True):
            _write_networks(source, place)
        paths = {name: place / name for name, _ in FILES.values()}
        files = {name: path.stat().st_size for name, path in paths.items() if path.is_file()}
        whole, smaller = (place / FILES[name][0] for name in ("onnx", "onnx_float16"))
        denoiser = load_denoiser(whole)
        images, names = sample_by_class(denoiser, GALLERY_COLUMNS)
        rows = names if len(names) > 1 else None
        grid = image_grid(to_uint8(images), GALLERY_COLUMNS, row_labels=rows)
        save_png(grid, place / "gallery.png")
        caption = f"Uncurated: the first seeds, sampled with `{FILES['onnx'][0]}`"
        model_readme(denoiser.card, facts, files, caption).save(place / "README.md")
        if space:
            from kdiffusion.parts.web import write_site

            write_site(smaller if smaller.exists() else whole, place / SPACE)  # half the download
            space_readme(denoiser.card, facts).save(place / SPACE / "README.md")
        if figures is not None:
            (place / "evaluation.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    for file, size in files.items():
        print(f"{size / 1e6:8.1f} MB  {out / file}")
    print(f"Written: {out}. Read {out / 'README.md'} before you publish it.")
    print(f'Upload it: hf upload {name} {shlex.quote(str(out))} --exclude "{SPACE}/*"')


def read_evaluation(path: Path) -> dict:
    """The figures that `kdiffusion evaluate` wrote, without the paths of this machine."""
    figures = json.loads(path.read_text(encoding="utf-8"))
    return {**figures, **{key: Path(figures[key]).name for key in ("source", "data", "features")}}


def _write_networks(source, place):
    """Writes the files of `FILES`; of an ONNX file, that alone."""
    path = existing(source)
    if onnx_loader.recognises(path) and str(source) not in released_models():
        (place / "onnx").mkdir()
        shutil.copyfile(path, place / FILES["onnx"][0])
        return
    network, card = read_source(source)
    formats = [name for name in FILES if name.startswith("onnx")]  # the weights come with them
    written = export_network(network, card, place / "onnx", formats)
    for name, file in written.items():
        file.rename(place / FILES[name][0])
    # In float32, as anyone would train or build on it.
    inference_network(network).save(place / FILES["keras"][0])
