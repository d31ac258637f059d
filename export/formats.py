"""The table of formats, and a run's network written in some of them."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.artifacts.denoiser import ArtifactError
from kdiffusion.artifacts.seal import seal
from kdiffusion.files import refuse_existing, staged

from . import (
    litert_writer,
    onnx_float16,
    onnx_int8,
    onnx_writer,
    openvino_writer,
    safetensors_float16,
    safetensors_writer,
    saved_model_writer,
)
from .sources import default_folder, read_source

if TYPE_CHECKING:
    import keras

    from kdiffusion.diffusion.card import DenoiserCard

# One file a format. Each has ARTIFACT, the name of what it writes; PARTS, the files of a folder;
# TOLERANCE, how far it may differ from the live network; ours, by which `kdiffusion.files` knows a
# folder that it may replace, None for a file; write(source, path), which leaves a place for the
# seal; and load(path) -> LoadedDenoiser, the loader in `kdiffusion.artifacts`. One whose runtime
# requirements.txt doesn't install has RUNTIME, its module: (name, what installs it).
FORMATS = {
    "onnx": onnx_writer,
    "onnx_float16": onnx_float16,
    "onnx_int8": onnx_int8,
    "saved_model": saved_model_writer,
    "openvino": openvino_writer,
    "litert": litert_writer,
    "safetensors": safetensors_writer,
    "safetensors_float16": safetensors_float16,
}


def export_run(
    run_dir: str | os.PathLike,
    formats: Sequence[str] = ("onnx", "saved_model"),
    out: str | os.PathLike | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> dict[str, Path]:
    """Exports the newest checkpoint of a run: its EMA network, in inference mode, with its card.

    Args:
        run_dir: path of a run directory; or of another source, as of
            `kdiffusion.export.sources.read_source`.
        formats: keys of `FORMATS`. Defaults to `("onnx", "saved_model")`.
        out: folder to write into, or None for `run_dir/export`; beside a file.
        overwrite: bool. Whether files of an earlier export may be replaced. Defaults to `False`.
        best: bool. Export the checkpoint of the lowest validation loss, not the newest.

    Returns:
        dict from each format's name to the Path written.

    Raises:
        ValueError: an unknown format, or a run without a checkpoint.
        FileExistsError: a file of an earlier export, and `overwrite` is False.
        ArtifactError: a file that does not compute what the network computes; a format whose
            runtime is not installed, before anything is written.
    """
    folder = default_folder(run_dir) if out is None else Path(out)
    _artifact_paths(formats, folder, overwrite)  # refuse before the seconds that loading takes
    network, card = read_source(run_dir, best)
    return export_network(network, card, folder, formats, overwrite)


def export_network(
    network: keras.Model,
    card: DenoiserCard,
    folder: str | os.PathLike,
    formats: Sequence[str] = ("onnx", "saved_model"),
    overwrite: bool = False,
) -> dict[str, Path]:
    """Exports a network with its card, and keeps the files only if they compute the same.

    Each format appears after it was loaded back in its own runtime and compared with the network.
    One that fails leaves nothing of its own, and keeps none of the others from being written.

    Args:
        network: keras.Model on the contract's inputs, such as `DiffusionModel.ema_network`.
        card: DenoiserCard.
        folder: path to write into; made if need be.
        formats: keys of `FORMATS`. Defaults to `("onnx", "saved_model")`.
        overwrite: bool. Whether existing files may be replaced. Defaults to `False`.

    Returns:
        dict from each format's name to the Path written.

    Raises:
        ValueError, FileExistsError, ArtifactError: as `export_run`.
    """
    paths = _artifact_paths(formats, Path(folder), overwrite)
    from .inference import inference_network
    from .source import ExportSource
    from .verify import check_deviation

    source = ExportSource(inference_network(network), card)
    failures = {}
    for name, path in paths.items():
        row = FORMATS[name]
        try:
            with staged(path, overwrite, row.ours) as temporary:
                row.write(source, temporary)
                seal(temporary, row.PARTS)
                check_deviation(source.network, row.load(temporary), row.TOLERANCE)
        except Exception as error:  # a converter may raise anything
            failures[name] = error
    if failures:
        _report(failures, paths)
    return paths


def _report(failures, paths):
    """Raises what went wrong: the error itself where one format was asked for, else all of them."""
    first = next(iter(failures.values()))
    if len(paths) == 1:
        raise first
    failed = "; ".join(f"{name}: {error}" for name, error in failures.items())
    kept = ", ".join(str(path) for name, path in paths.items() if name not in failures)
    raise ArtifactError(f"Not exported: {failed}. Exported: {kept or 'nothing'}") from first


def _artifact_paths(formats, folder, overwrite):
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"`formats` must be some of {list(FORMATS)}. Received: formats={formats}")
    for name in formats:
        module, install = getattr(FORMATS[name], "RUNTIME", ("kdiffusion", ""))
        if importlib.util.find_spec(module) is None:
            raise ArtifactError(
                f"`formats` has {name}, whose runtime is not installed: {install}. A file is kept "
                f"only if it was opened and compared. Received: formats={tuple(formats)}"
            )
    paths = {name: folder / FORMATS[name].ARTIFACT for name in formats}
    for name, path in paths.items():
        refuse_existing(path, overwrite, FORMATS[name].ours)
    return paths
