"""What is exported: the network of a run, or of a file of weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.artifacts import onnx_loader, onnx_weights, safetensors_loader
from kdiffusion.artifacts.denoiser import ArtifactError
from kdiffusion.artifacts.released import as_written, existing, is_download, released_models
from kdiffusion.artifacts.stored_weights import build
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.object_store import is_url, spelled
from kdiffusion.runs.remote_run import to_draw
from kdiffusion.tensorflow_start import import_tensorflow

from . import onnx_float16
from .verify import largest_deviation

if TYPE_CHECKING:
    import keras


_OF_WEIGHTS = (".onnx", ".safetensors")


def default_folder(source: str | os.PathLike) -> Path | str:
    """Where the files of a source go unless told: beside a file of weights, else in `export`.

    Args:
        source: as of `read_source`.

    Returns:
        Path; of a source in an object store, a URL.

    Raises:
        ValueError: a released model or one on the Hub, which is in no folder of the user's.
    """
    if is_download(source) or str(source) in released_models():
        name = as_written(source)
        own = f" A folder of that name here is ./{name}." if Path(name).exists() else ""
        raise ValueError(
            f"`out` must be given for a model that is in no folder of yours.{own} "
            f"Received: {name}, out=None"
        )
    if is_url(source):
        folder, _, name = spelled(source).rpartition("/")
        return folder if Path(name).suffix in _OF_WEIGHTS else f"{folder}/{name}/export"
    source = Path(source)
    return source.parent if source.is_file() else source / "export"


def read_source(source: str | os.PathLike, best: bool = False) -> tuple[keras.Model, DenoiserCard]:
    """Reads what is to be exported.

    Args:
        source: path of a run, of a folder that `import` wrote, or of a file that holds weights:
            .safetensors or .onnx. Or the name of a released model, `hf://owner/name` on the
            Hub, or the URL of any of these in an object store.
        best: bool. Of a run, the checkpoint of the lowest validation loss, not the newest.

    Returns:
        (keras.Model, DenoiserCard).

    Raises:
        FileNotFoundError: none of them is there.
        ArtifactError: a damaged file, or one that doesn't say what network its weights are of, or
            lists others than those of its graph.
        ValueError: a run without a checkpoint, or `best` of what is no run.
    """
    path = existing(source, to_draw)
    file = path if onnx_loader.recognises(path) else safetensors_loader.file_at(path)
    if file is not None:
        if best:
            raise ValueError(f"`best` must be left out: {source} is no run. Received: best=True")
        stored = _stored(file)
        import_tensorflow()
        network = build(stored, file)
        if onnx_loader.recognises(file):
            _check_graph(network, file)
        return network, stored.card
    import_tensorflow()
    from kdiffusion.runs import load_run

    run = load_run(path, best)
    return run.model.ema_network, run.card


def _check_graph(network, file):
    """Refuses a list of other weights than those that the graph predicts with."""
    deviation = largest_deviation(network, onnx_loader.load(file))
    if not deviation <= onnx_float16.TOLERANCE:  # not `>`: a NaN must not pass
        raise ArtifactError(
            f"{file} must list the weights that its graph predicts with, to "
            f"{onnx_float16.TOLERANCE:g} of any predicted number. Received: a largest deviation of "
            f"{deviation:g}"
        )


def _stored(file):
    if not onnx_loader.recognises(file):
        return safetensors_loader.read(file)
    stored = onnx_weights.read(file)
    if stored is None:
        raise ArtifactError(
            f"{file} has no list of its weights, as a whole sampler has none, and neither have the "
            "first files in 8 bits: only its own runtime can use it"
        )
    return stored
