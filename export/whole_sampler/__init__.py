"""The whole sampler as one graph, loop and all: noise, labels and strength in, images out."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kdiffusion.artifacts import load_sampler, saved_model_loader
from kdiffusion.artifacts.integrity import ArtifactError, seal
from kdiffusion.atomic_files import staged
from kdiffusion.diffusion.conditions import trial_conditions
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.images import to_uint8

from ..source import ExportSource, free_paths, inference_network
from . import onnx_loop, saved_model_loop
from .tables import GRAPH_SAMPLERS, SamplerTables, sampler_tables

if TYPE_CHECKING:
    import keras

    from kdiffusion.diffusion.card import DenoiserCard

__all__ = ["GRAPH_SAMPLERS", "SAMPLER_FORMATS", "export_sampler"]


class SamplerFormat(NamedTuple):
    """A row of `SAMPLER_FORMATS`; the other fields are those of `Format`.

    Attributes:
        write: function of (ExportSource, SamplerTables, Path).
        description: function of a Path that gives the options that `export_sampler` wrote it with.
    """

    artifact: str
    write: Callable[[ExportSource, SamplerTables, Path], None]
    description: Callable[[Path], dict[str, Any]]
    parts: Sequence[str] = ()
    mark: Path | None = None


SAMPLER_FORMATS = {
    "onnx": SamplerFormat("sampler.onnx", onnx_loop.write, onnx_loop.description),
    "saved_model": SamplerFormat(
        "sampler_saved_model", saved_model_loop.write, saved_model_loop.description,
        saved_model_loader.CONTENTS, saved_model_loader.CARD_PATH,
    ),
}  # fmt: skip


def export_sampler(
    network: keras.Model,
    card: DenoiserCard,
    folder: str | os.PathLike,
    *,
    sampler: str | None = None,
    steps: int | None = None,
    spacing: str | None = None,
    timesteps: Sequence[int] | None = None,
    formats: Sequence[str] = tuple(SAMPLER_FORMATS),
    overwrite: bool = False,
) -> dict[str, Path]:
    """Exports a whole sampler, noise ► images, if its images agree with the NumPy loop's.

    Args:
        network: keras.Model with the inputs of `UNet`, such as `DiffusionModel.ema_network`.
        card: DenoiserCard.
        folder: path to write into; made if need be.
        sampler: str. One of `GRAPH_SAMPLERS`. Defaults to the card's if it is, else `"unipc"`.
        steps: int, fixed in the graph. Defaults to the card's, like `spacing` and `timesteps`.
        spacing: as in `SamplingOptions`; fixed in the graph.
        timesteps: as in `SamplingOptions`; fixed in the graph.
        formats: keys of `SAMPLER_FORMATS`. Defaults to both.
        overwrite: bool. Whether existing files may be replaced. Defaults to `False`.

    Returns:
        dict from each format's name to the Path written.

    Raises:
        ValueError: invalid options.
        FileExistsError: a file exists, and `overwrite` is False.
        ArtifactError: a graph whose images differ from the loop's.
    """
    tables = sampler_tables(
        card, sampler=sampler, steps=steps, spacing=spacing, timesteps=timesteps
    )
    paths = free_paths(SAMPLER_FORMATS, formats, Path(folder), overwrite)
    source = ExportSource(inference_network(network), card)
    with contextlib.ExitStack() as stack:
        for name, path in paths.items():
            row = SAMPLER_FORMATS[name]
            temporary = stack.enter_context(staged(path, overwrite, row.mark))
            row.write(source, tables, temporary)
            seal(temporary, row.parts)
            draw, _ = load_sampler(temporary, trust=True)  # it was written just now
            _check_images(source, draw, path, **tables.description)
    return paths


def _check_images(source, draw, path, **options):
    """Refuses a graph whose images are not the loop's, to one of 255 levels."""
    card, seeds, strength = source.card, [0, 1, 2], 1.5
    labels = np.array([0, max(card.null_label - 1, 0), card.null_label], np.int32)
    conditions = trial_conditions(card, labels)
    expected = sample(
        source.denoiser, conditions, seeds, guidance_strength=strength, progress=False, **options
    )
    noise = initial_latents(seeds, card.image_shape)
    received = draw(noise, labels, strength, **conditions.more)
    difference = np.abs(to_uint8(received).astype(int) - to_uint8(expected)).max()
    if difference > 1:
        raise ArtifactError(
            f"{path.name} must give the sampling loop's images within one of 255 levels. Received: "
            f"a largest difference of {difference}; the file was not kept"
        )
