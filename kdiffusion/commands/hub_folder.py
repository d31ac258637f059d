"""A folder that is ready for the Hugging Face Hub: README.md, networks, a gallery and a Space."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdiffusion.artifacts import (
    ArtifactError,
    hub,
    load_denoiser,
    onnx_loader,
    safetensors_loader,
)
from kdiffusion.artifacts.released import existing, released_models
from kdiffusion.evaluation.evaluation import FORMAT_VERSION, KEYS
from kdiffusion.export import export_network
from kdiffusion.export.onnx_restored import FORMATS, restore
from kdiffusion.export.read_source import read_source
from kdiffusion.files import refuse_existing, staged
from kdiffusion.images import image_grid
from kdiffusion.runs.run_directory import holds_run
from kdiffusion.terminal import working

from .grids import draw_by_class
from .hub_card import Facts, model_readme, space_readme
from .labels import label_names
from .site import write_site

MARK = ".kdiffusion-hub"  # an empty file: a folder that holds it may be replaced
SPACE = "space"
MOST_ROWS = 10  # classes in the gallery
# The names that others look for (Transformers.js, Optimum), by the format's name here.
NAMES = {
    "onnx": "onnx/model.onnx",
    "onnx_float16": "onnx/model_fp16.onnx",
    "onnx_int8": "onnx/model_int8.onnx",
}
KERAS = "model.keras"


def read_evaluation(path: str | os.PathLike) -> dict[str, Any]:
    """The figures that `kdiffusion evaluate` wrote, without this machine's paths.

    Args:
        path: path of evaluation.json.

    Raises:
        FileNotFoundError: it isn't there.
        ValueError: it holds something else, or figures of another version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"`evaluation` must be an evaluation.json that `kdiffusion evaluate` wrote. "
            f"Received: {path}"
        )
    try:
        figures = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if figures["format_version"] != FORMAT_VERSION:
            raise ValueError(f"its format_version is {figures['format_version']}")
        for key in KEYS:
            if not isinstance(figures[key], (int, float, type(None))):
                raise ValueError(f"{key} is no number")
        for key, kind in (
            ("images", int),
            ("sampler", dict),
            ("real", (dict, type(None))),
            ("features", str),
        ):
            if not isinstance(figures[key], kind):
                raise ValueError(f"{key} is a {type(figures[key]).__name__}")
        names = {key: Path(str(figures[key])).name for key in ("source", "data", "features")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"`evaluation` must be an evaluation.json that `kdiffusion evaluate` wrote, of format "
            f"{FORMAT_VERSION}. Received: {path}: {type(error).__name__}: {error}"
        ) from error
    return {**figures, **names}


def _refuse_constant(text):
    raise ValueError(f"{text} is no number")


def write_hub_folder(
    source: str | os.PathLike,
    folder: str | os.PathLike,
    facts: Facts | None = None,
    *,
    per_label: int = 8,
    space: bool = True,
    best: bool = False,
    overwrite: bool = False,
) -> dict[str, int]:
    """Writes all that a model on the Hub consists of, or nothing.

    Args:
        source: path of a run, of a folder that `import` wrote, of a file of weights (.safetensors)
            or of an exported ONNX file; or a released model, or one on the Hub.
        folder: path of the folder to make.
        facts: Facts. Defaults to none.
        per_label: int. Images of each class in the gallery.
        space: bool. Whether to write the page, as a static Space.
        best: bool. Of a run, the checkpoint of the lowest validation loss, not the newest.
        overwrite: bool. Whether an earlier folder may be replaced. Defaults to `False`.

    Returns:
        dict from each file of the networks to its bytes.

    Raises:
        ArtifactError: a source that is none of these, is damaged or has no usable card.
        FileNotFoundError: nothing at `source`.
        FileExistsError: `folder` exists, and `overwrite` is False or it is not such a folder.
        OSError: npm, which the page needs, is missing or has no network.
    """
    refuse_existing(folder, overwrite, MARK)  # before the time that a download takes
    if per_label < 1:
        raise ValueError(f"`per_label` must be at least 1. Received: per_label={per_label}")
    facts = _with_released_licence(source, facts or Facts())
    path = existing(source)
    with staged(folder, overwrite, MARK) as place:
        place.mkdir()
        with working(f"reading {hub.spelled(source)}, and writing its networks", line=True):
            left_out = _write_networks(path, place, best)
        names = [name for name in (*NAMES.values(), KERAS) if (place / name).is_file()]
        files = {name: (place / name).stat().st_size for name in names}
        if space:  # half of the download where there is such a file
            smaller = NAMES["onnx_float16"]
            write_site(place / (smaller if smaller in files else names[0]), place / SPACE)
        denoiser = load_denoiser(place / names[0])
        caption = _draw_gallery(denoiser, per_label, place / "gallery.png")
        texts = {"README.md": model_readme(denoiser.card, facts, files, caption, left_out)}
        if space:
            texts[f"{SPACE}/README.md"] = space_readme(denoiser.card, facts)
        if facts.evaluation is not None:
            texts["evaluation.json"] = json.dumps(facts.evaluation, indent=1, allow_nan=False)
        for name, text in texts.items():
            (place / name).write_text(text, encoding="utf-8")
        (place / MARK).touch()
    return files


def _with_released_licence(source, facts):
    """A released model's README says its licence."""
    file = released_models().get(str(source))
    if file is None or facts.license is not None:
        return facts
    text = file.with_name("README.md").read_text(encoding="utf-8")
    found = re.search(r"^license: (\S+)$", text, re.MULTILINE)
    return facts if found is None else dataclasses.replace(facts, license=found.group(1))


def _write_networks(path: Path, place: Path, best: bool) -> Sequence[str]:
    """Writes the files of `NAMES` and `KERAS` that a source gives; says which it doesn't."""
    if onnx_loader.recognises(path):
        if best:
            raise ValueError(f"`best` must be left out: {path} is no run. Received: best=True")
        written = restore(path, place / "onnx")
        left_out = [f"`{KERAS}` is not there: an ONNX file was published, not a run."]
    elif holds_run(path) or safetensors_loader.file_at(path) is not None:
        network, card = read_source(path, best)
        written = export_network(network, card, place / "onnx", tuple(FORMATS))
        _write_keras(network, place / KERAS)
        left_out = []
    else:
        raise ArtifactError(
            "`source` must be a run, a folder that `import` wrote, a .safetensors or an .onnx file "
            f"of ours: the other formats hold no weights to go by. Received: {path}"
        )
    for name, file in written.items():
        file.rename(place / NAMES[name])
    missing = [f"`{NAMES[name]}`" for name in NAMES if name not in written]
    if missing:
        left_out.append(
            f"{' and '.join(missing)} are left out: of weights in 8 bits they would be larger, and "
            "no better."
        )
    return left_out


def _write_keras(network, path):
    """The network in float32, as anyone would train or build on it."""
    plain = type(network).from_config({**network.get_config(), "dtype": "float32"})
    plain.set_weights(network.get_weights())
    plain.save(path)


def _draw_gallery(denoiser, per_label, path):
    """Draws the first classes from the first seeds, as the card recommends; returns a caption."""
    card = denoiser.card
    labels = range(min(len(card.class_names), MOST_ROWS))
    images, _, seeds = draw_by_class(denoiser, labels, per_label, seed=0)
    names = label_names(labels, card.class_names) if len(card.class_names) > 1 else None
    image_grid(images, per_label, row_labels=names).save(path, format="PNG")
    of_each = f"{per_label} of each class" if len(card.class_names) > 1 else f"{per_label} images"
    if len(card.class_names) > MOST_ROWS:
        of_each = f"{per_label} of each of the first {MOST_ROWS} classes"
    return f"{of_each}, none picked: seeds 0 to {int(seeds[-1])}, drawn from the file"
