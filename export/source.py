"""What is exported: the network of a run or of a file of weights, with its card."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.artifacts import safetensors_loader
from kdiffusion.artifacts.released import existing, released_models
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.object_store import is_url
from kdiffusion.tensorflow_start import import_tensorflow

if TYPE_CHECKING:
    import keras
    import onnx


def default_folder(source: str | os.PathLike) -> Path:
    """Where the exported files of a source go by default: beside a file, else in `export`.

    Raises:
        ValueError: a source that is in no folder of the user's.
    """
    if is_url(source) or str(source) in released_models():
        raise ValueError(f"`out` must be given for {source}, which has no folder of its own")
    source = Path(source)
    return source.parent if source.is_file() else source / "export"


def read_source(source: str | os.PathLike, best: bool = False) -> tuple[keras.Model, DenoiserCard]:
    """Reads the network to export, with its card.

    Args:
        source: path of a run, of a .safetensors file, or of a folder that holds a
            denoiser.safetensors; the name of a pretrained model; `hf://owner/name` on the Hub; or
            the URL of any of these in an object store.
        best: bool. Of a run, the checkpoint of the lowest validation loss, not the newest.

    Raises:
        FileNotFoundError: nothing is there.
        ArtifactError: a damaged file.
        ValueError: a run without a checkpoint.
    """
    path = existing(source, weights=True)
    import_tensorflow()
    file = safetensors_loader.file_at(path)
    if file is not None:
        stored = safetensors_loader.read(file)
        return safetensors_loader.build(stored), stored.card
    from kdiffusion.runs import load_run

    run = load_run(path, best)
    return run.model.ema_network, run.card


class ExportSource:
    """A float32 network and its card, and the graph that several formats are made of.

    Args:
        network: keras.Model on a dictionary of the contract's inputs, from `inference_network`.
        card: DenoiserCard.
    """

    def __init__(self, network: keras.Model, card: DenoiserCard):
        self.network = network
        self.card = card

    @functools.cached_property
    def onnx_model(self) -> onnx.ModelProto:
        """onnx.ModelProto with the card: converted once, however many formats are made of it."""
        from .onnx_writer import convert

        return convert(self.network, self.card)
