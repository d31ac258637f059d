"""`python -m kdiffusion export_diffusers`: writes a network as a folder that diffusers reads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import tyro
from safetensors.numpy import save

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import LoadedDenoiser
from kdiffusion.export.source import default_folder, inference_network, read_source
from kdiffusion.files import refuse_existing, staged
from kdiffusion.networks import describe, named_weights
from kdiffusion.terminal import working

from . import folder as layout
from . import network as theirs
from . import scheduler as their_scheduler
from .reader import LABEL_TENSOR, network_and_card

if TYPE_CHECKING:
    import keras

ARTIFACT = "diffusers"
TOLERANCE = 1e-6  # from the live network, any predicted number: the weights are the same bits


def export_diffusers(
    network: keras.Model, card: DenoiserCard, folder: str | os.PathLike, overwrite: bool = False
) -> Path:
    """Writes a `UNet2D` as diffusers' `UNet2DModel`, with the scheduler of its card.

    A network that was imported without classes has none there either. Otherwise the last row of the
    label table stands for no label. The card is written beside it, for `import_diffusers`. The
    folder is kept only if it reads back as the same network.

    Args:
        network: keras.Model, a `UNet2D`.
        card: DenoiserCard.
        folder: path to write the folder "diffusers" into; made if need be.
        overwrite: bool. Whether one of an earlier export may be replaced. Defaults to `False`.

    Returns:
        Path of the folder.

    Raises:
        ValueError: a network that diffusers can't represent.
        FileExistsError: the folder exists, and `overwrite` is False.
    """
    class_name, arguments = describe(network)
    if class_name != "unet2d":
        raise ValueError(
            "`network` must be a UNet2D (`--model.network unet2d`, or imported from diffusers): "
            "diffusers adds the label where UNet concatenates it. "
            f"Received: {type(network).__name__}"
        )
    tensors = _tensors(network, len(arguments["widths"]))
    table = tensors[LABEL_TENSOR]
    if len(table) == 2 and not table.any():
        table = None
        del tensors[LABEL_TENSOR]
    config = theirs.config_of(arguments, None if table is None else len(table))
    scheduler, pipeline = their_scheduler.config_of(card)
    index = {
        "_class_name": pipeline,
        "scheduler": ["diffusers", scheduler["_class_name"]],
        "unet": ["diffusers", theirs.CLASS],
    }
    from kdiffusion.export.formats import check_deviation

    path = Path(folder, ARTIFACT)
    with staged(path, overwrite, layout.CARD) as temporary:
        _write_json(temporary / layout.INDEX, index)
        inner = temporary / "unet"
        config = {"_class_name": theirs.CLASS, **config}
        _write_json(inner / layout.NETWORK_CONFIG, config)
        _write_json(temporary / "scheduler" / layout.SCHEDULER_CONFIG, scheduler)
        (temporary / layout.CARD).write_text(card.to_json() + "\n", encoding="utf-8")
        # What PyTorch's own readers of the format look for.
        (inner / layout.WEIGHTS).write_bytes(save(tensors, {"format": "pt"}))
        check_deviation(inference_network(network), _read_back(temporary), TOLERANCE)
    return path


def _tensors(network, levels):
    return {
        theirs.their_name(name, levels): theirs.their_layout(name, np.asarray(variable, np.float32))
        for name, variable in named_weights(network).items()
    }


def _write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _read_back(path):
    """The folder as a Denoiser, by way of what `import_diffusers` reads."""
    network, card, _ = network_and_card(path)
    network = inference_network(network)
    return LoadedDenoiser(card, path, lambda **arrays: np.asarray(network(arrays, training=False)))


def main(
    run_dir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> None:
    """Exports a network as a diffusers folder: UNet2DModel, scheduler, pipeline.

    The network must be imported, or trained with --model.network unet2d.

    Args:
        run_dir: a run's folder, an imported folder, a .safetensors file that `export` wrote, or
            hf://owner/name.
        out: folder to write the folder `diffusers` into; by default RUN/export. Required for a
            model on the Hub.
        overwrite: replace the folder of an earlier export.
        best: export the checkpoint with the lowest validation loss, not the newest.
    """
    folder = Path(default_folder(run_dir)) if out is None else out
    # Before the seconds that loading takes.
    refuse_existing(folder / ARTIFACT, overwrite, layout.CARD)
    with working("exporting, and checking the exported folder", line=True):
        path = export_diffusers(*read_source(run_dir, best), folder, overwrite)
    print(path)
