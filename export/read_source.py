"""The network to export: that of a run, or of a file of weights."""

from __future__ import annotations

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


def default_folder(source: str | os.PathLike) -> Path:
    """Where the exported files of a source go by default: beside a file, else in `export`.

    Raises:
        ValueError: a source that is in no folder of the user's.
    """
    if is_url(source) or str(source) in released_models():
        raise ValueError(f"`out` must be given for {source}, which is in no folder of yours")
    source = Path(source)
    return source.parent if source.is_file() else source / "export"


def read_source(source: str | os.PathLike, best: bool = False) -> tuple[keras.Model, DenoiserCard]:
    """Reads the network to export, with its card.

    Args:
        source: path of a run, of a .safetensors file, or of a folder that holds a
            denoiser.safetensors; the name of a released model; `hf://owner/name` on the Hub; or
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
