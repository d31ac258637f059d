"""What is exported: the network of a run, or of a file of weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.artifacts import safetensors_loader
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.tensorflow_start import import_tensorflow

if TYPE_CHECKING:
    import keras


def default_folder(source: str | os.PathLike) -> Path:
    """Where the files of a source go unless told: beside a file of weights, else in `export`.

    Args:
        source: path of a run, of a folder that `import` wrote, or of a file of weights.
    """
    source = Path(source)
    return source.parent if source.is_file() else source / "export"


def read_source(source: str | os.PathLike, best: bool = False) -> tuple[keras.Model, DenoiserCard]:
    """Reads what is to be exported.

    Args:
        source: as of `default_folder`.
        best: bool. Of a run, the checkpoint of the lowest validation loss, not the newest.

    Returns:
        (keras.Model, DenoiserCard).

    Raises:
        FileNotFoundError: none of them is there.
        ValueError: a run without a checkpoint, a damaged file, or `best` of what is no run.
    """
    import_tensorflow()
    file = safetensors_loader.file_at(source)
    if file is not None:
        if best:
            raise ValueError(f"`best` must be left out: {source} is no run. Received: best=True")
        stored = safetensors_loader.read(file)
        return safetensors_loader.build(stored, file), stored.card
    from kdiffusion.runs import load_run

    run = load_run(source, best)
    return run.model.ema_network, run.card
