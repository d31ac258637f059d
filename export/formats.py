"""The table of formats, and a run's network written in some of them."""

from __future__ import annotations

import fnmatch
import importlib.util
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.artifacts.denoiser import ArtifactError
from kdiffusion.artifacts.seal import seal
from kdiffusion.files import refuse_existing, staged
from kdiffusion.object_store import Store, is_url

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
from .read_source import default_folder, read_source

if TYPE_CHECKING:
    import keras

    from kdiffusion.diffusion.card import DenoiserCard

# One file per format. Each has ARTIFACT, the name of what it writes; PARTS, the files of a folder;
# TOLERANCE, how far it may differ from the live network; MARK, the file by which `kdiffusion.files`
# knows a folder that it may replace, None for a file; write(source, path), which leaves a place for
# the seal; and load(path) -> LoadedDenoiser, the loader in `kdiffusion.artifacts`. If
# requirements.txt doesn't install its runtime, it has RUNTIME: (module, what installs it).
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
DEFAULT_FORMATS = ("onnx", "saved_model")


def export_run(
    run_dir: str | os.PathLike,
    formats: Sequence[str] = DEFAULT_FORMATS,
    out: str | os.PathLike | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> dict[str, Path] | dict[str, str]:
    """Exports the newest checkpoint of a run: its EMA network, in inference mode, with its card.

    Args:
        run_dir: path of a run directory; or of another source, as of
            `kdiffusion.export.read_source.read_source`.
        formats: keys of `FORMATS`. Defaults to `("onnx", "saved_model")`.
        out: folder to write into, or None for `run_dir/export`; beside a file. Either may be a URL
            in an object store.
        overwrite: bool. Whether files of an earlier export may be replaced. Defaults to `False`.
        best: bool. Export the checkpoint of the lowest validation loss, not the newest.

    Returns:
        dict from each format's name to the Path written; to its URL in an object store.

    Raises:
        ValueError: an unknown format, or a run without a checkpoint.
        FileExistsError: a file of an earlier export, and `overwrite` is False.
        ArtifactError: a file that does not compute what the network computes; a format whose
            runtime is not installed, before anything is written.
    """
    folder = default_folder(run_dir) if out is None else out
    if is_url(folder):
        return _export_to_store(run_dir, formats, folder, overwrite, best)
    _artifact_paths(formats, Path(folder), overwrite)  # refuse before the seconds of loading
    network, card = read_source(run_dir, best)
    return export_network(network, card, folder, formats, overwrite)


def export_again(run_dir: str | os.PathLike) -> dict[str, Path]:
    """Exports a run in the default formats, and writes again all that its `export` folder holds.

    So a resumed training leaves no file of an earlier checkpoint beside the new ones.

    Args:
        run_dir: path of a run directory.

    Returns:
        dict from each format's name to the Path written, without whole samplers.
    """
    from .whole_sampler import SAMPLER_FORMATS, export_sampler

    folder = Path(default_folder(run_dir))
    network, card = read_source(run_dir)
    formats = tuple(dict.fromkeys([*DEFAULT_FORMATS, *formats_in(folder)]))
    paths = export_network(network, card, folder, formats, overwrite=True)
    for name, row in SAMPLER_FORMATS.items():
        if (folder / row.ARTIFACT).exists():
            options = row.description(folder / row.ARTIFACT)
            export_sampler(network, card, folder, formats=[name], overwrite=True, **options)
    return paths


def formats_in(folder: str | os.PathLike) -> list[str]:
    """The keys of `FORMATS` whose files a folder holds."""
    return [name for name, row in FORMATS.items() if Path(folder, row.ARTIFACT).exists()]


def _export_to_store(run_dir, formats, url, overwrite, best):
    """As `export_run`, by a folder of this machine: an object can't be renamed into its place."""
    store = Store(url)
    with tempfile.TemporaryDirectory(prefix="kdiffusion-") as folder:
        paths = _artifact_paths(formats, Path(folder), overwrite=False)
        there = set(store.sizes())
        for name, path in paths.items():
            if _objects_of(there, name) and not overwrite:
                raise FileExistsError(
                    f"{store.url}/{path.name} exists; pass `--overwrite` (overwrite=True) to "
                    "replace it"
                )
        try:
            export_network(*read_source(run_dir, best), folder, formats)
        except ArtifactError as error:
            raise ArtifactError(str(error).replace(folder, store.url)) from error
        finally:  # one that fails keeps none of the others from being written
            for name, path in paths.items():
                if path.exists():
                    _send(store, there, name, path)
    return {name: f"{store.url}/{path.name}" for name, path in paths.items()}


def _objects_of(there, name):
    """The objects of a format among those that are there; others are left as they are."""
    row = FORMATS[name]
    patterns = [f"{row.ARTIFACT}/{part}" for part in row.PARTS] or [row.ARTIFACT]
    return {each for pattern in patterns for each in fnmatch.filter(there, pattern)}


def _send(store, there, name, path):
    """Sends a format's file or folder; a folder counts from the moment its graph is there."""
    if path.is_file():
        store.upload(path, path.name)
        return
    graph = f"{path.name}/{FORMATS[name].PARTS[0]}"
    files = [each.relative_to(path.parent).as_posix() for each in path.rglob("*") if each.is_file()]
    before = _objects_of(there, name)
    store.remove(sorted(before & {graph}))
    for each in sorted(files, key=lambda each: (each == graph, each)):
        store.upload(path.parent / each, each)
    store.remove(sorted(before - set(files)))


def export_network(
    network: keras.Model,
    card: DenoiserCard,
    folder: str | os.PathLike,
    formats: Sequence[str] = DEFAULT_FORMATS,
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
    from .export_source import ExportSource
    from .inference import inference_network
    from .verify import check_deviation

    source = ExportSource(inference_network(network), card)
    failures = {}
    for name, path in paths.items():
        row = FORMATS[name]
        try:
            with staged(path, overwrite, row.MARK) as temporary:
                row.write(source, temporary)
                seal(temporary, row.PARTS)
                check_deviation(source.network, row.load(temporary), row.TOLERANCE)
        except Exception as error:  # a converter may raise anything
            failures[name] = error
    if failures:
        _report(failures, paths)
    return paths


def _report(failures, paths):
    """Raises what went wrong: of one format a refusal as it is, else all of it by the format."""
    first = next(iter(failures.values()))
    # The commands tell of these in a line; of a converter's or a runtime's own, by a traceback.
    if len(paths) == 1 and isinstance(first, ArtifactError | ValueError | OSError):
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
        refuse_existing(path, overwrite, FORMATS[name].MARK)
    return paths
