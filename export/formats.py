"""The table of formats, a run's network written in some of them, and each file's check."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kdiffusion.artifacts import (
    litert_loader,
    load_denoiser,
    onnx_loader,
    safetensors_loader,
    saved_model_loader,
)
from kdiffusion.artifacts.integrity import ArtifactError, seal
from kdiffusion.atomic_files import staged
from kdiffusion.diffusion.conditions import trial_conditions
from kdiffusion.diffusion.denoiser import Denoiser
from kdiffusion.networks import is_described, named_weights

from . import (
    litert_writer,
    onnx_float16,
    onnx_int8,
    onnx_writer,
    safetensors_writer,
    saved_model_writer,
)
from .source import ExportSource, default_folder, free_paths, inference_network, read_source

if TYPE_CHECKING:
    import keras

    from kdiffusion.diffusion.card import DenoiserCard


class Format(NamedTuple):
    """A row of `FORMATS`.

    Attributes:
        artifact: str. Name of the file or folder.
        tolerance: float. How far any predicted number may be from the live network's.
        write: function of (ExportSource, Path) that writes it, with a place for the seal.
        parts: of a folder, the patterns of its files.
        mark: of a folder, the file by which `atomic_files` knows that it may be replaced.
    """

    artifact: str
    tolerance: float
    write: Callable[[ExportSource, Path], None]
    parts: Sequence[str] = ()
    mark: Path | None = None


FORMATS = {
    "onnx": Format(onnx_loader.ARTIFACT, 1e-4, onnx_writer.write),
    # float16 rounds weights to 11 bits, int8 most kernels to 8.
    "onnx_float16": Format("denoiser_float16.onnx", 2e-2, onnx_float16.write),
    "onnx_int8": Format("denoiser_int8.onnx", 2e-1, onnx_int8.write),
    "saved_model": Format(
        saved_model_loader.ARTIFACT, 1e-4, saved_model_writer.write,
        saved_model_loader.CONTENTS, saved_model_loader.CARD_PATH,
    ),
    "litert": Format(litert_loader.ARTIFACT, 1e-4, litert_writer.write),
    "safetensors": Format(safetensors_loader.ARTIFACT, 1e-4, safetensors_writer.write),
    "safetensors_float16": Format(
        "denoiser_float16.safetensors", 2e-2,
        functools.partial(safetensors_writer.write, dtype=np.float16),
    ),
}  # fmt: skip
BATCH_SIZES = (1, 3, 17)  # of the images that a file is checked on
DEFAULT_FORMATS = ("onnx", "saved_model")
CARD_FILE = "card.json"  # beside every export: the newest, for who looks without a runtime
WEIGHTS = ("safetensors", "safetensors_float16")  # one is beside every export, to start from


def export_run(
    run_dir: str | os.PathLike,
    formats: Sequence[str] = DEFAULT_FORMATS,
    out: str | os.PathLike | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> dict[str, Path]:
    """Exports the newest checkpoint of a run: its EMA network, in inference mode, with its card.

    Args:
        run_dir: path of a run directory, or another source of `read_source`.
        formats: keys of `FORMATS`. Defaults to `("onnx", "saved_model")`; the weights, as
            `denoiser.safetensors`, are always written beside them.
        out: folder to write into; None: `run_dir/export`, or the folder of a file.
        overwrite: bool. Replace the files of an earlier export, those of other formats and whole
            samplers too, so that a folder never holds two networks. Defaults to `False`.
        best: bool. Export the checkpoint of the lowest validation loss, not the newest.

    Returns:
        dict from each format's name to the Path written.

    Raises:
        ValueError: an unknown format, or a run without a checkpoint.
        FileExistsError: a file of an earlier export exists, and `overwrite` is False.
        ArtifactError: a file that does not compute what the network computes.
    """
    from .whole_sampler import SAMPLER_FORMATS, export_sampler

    folder = Path(default_folder(run_dir) if out is None else out)
    network, card = read_source(run_dir, best)
    paths = export_network(network, card, folder, formats, overwrite)
    for name, row in SAMPLER_FORMATS.items():
        if overwrite and (folder / row.artifact).exists():
            options = row.description(folder / row.artifact)
            export_sampler(network, card, folder, formats=[name], overwrite=True, **options)
    return paths


def formats_in(folder: str | os.PathLike) -> list[str]:
    """The keys of `FORMATS` whose files a folder holds."""
    return [name for name, row in FORMATS.items() if Path(folder, row.artifact).exists()]


def export_network(
    network: keras.Model,
    card: DenoiserCard,
    folder: str | os.PathLike,
    formats: Sequence[str] = DEFAULT_FORMATS,
    overwrite: bool = False,
) -> dict[str, Path]:
    """Exports a network with its card, and keeps only files that compute the same.

    Each file is opened in its own runtime and compared with the network. The card is written beside
    the files, and so are the weights of a network whose class is from this package.

    Args:
        network: keras.Model with the inputs of `UNet`, such as `DiffusionModel.ema_network`.
        card: DenoiserCard.
        folder: path to write into; made if need be.
        formats: keys of `FORMATS`. Defaults to `("onnx", "saved_model")`.
        overwrite: bool. Replace existing files, those of other formats too. Defaults to `False`.

    Returns:
        dict from each format's name to the Path written.

    Raises:
        ValueError, FileExistsError, ArtifactError: as `export_run`.
    """
    folder = Path(folder)
    paths = free_paths(FORMATS, formats, folder, overwrite)
    beside = [name for name in formats_in(folder) if name not in paths]
    if overwrite:
        paths |= {name: folder / FORMATS[name].artifact for name in beside}
    elif beside and not _are_of(network, card, folder):
        raise FileExistsError(
            f"{folder} holds files of another network. Pass `--overwrite` (overwrite=True) to "
            "replace all of them, or choose another folder"
        )
    if is_described(network) and not {*paths, *beside} & set(WEIGHTS):
        paths[WEIGHTS[0]] = folder / safetensors_loader.ARTIFACT
    source = ExportSource(inference_network(network), card)
    with contextlib.ExitStack() as stack:
        for name, path in paths.items():
            row = FORMATS[name]
            temporary = stack.enter_context(staged(path, overwrite, row.mark))
            row.write(source, temporary)
            seal(temporary, row.parts)
            written = load_denoiser(temporary, trust=True)  # it was written just now
            deviation = largest_deviation(source.denoiser, written)
            if not deviation <= row.tolerance:  # not `>`: a NaN must not pass
                raise ArtifactError(
                    f"{path.name} must agree with the live network to {row.tolerance:g}. "
                    f"Received: a largest deviation of {deviation:g}; the file was not kept"
                )
        temporary = stack.enter_context(staged(folder / CARD_FILE, overwrite=True))
        temporary.write_text(card.to_json() + "\n", encoding="utf-8")
    return paths


def _are_of(network, card, folder):
    """Whether the files in a folder are of this network: by its weights, if they are there."""
    file = folder / safetensors_loader.ARTIFACT
    if not file.exists():
        return (folder / CARD_FILE).read_text(encoding="utf-8") == card.to_json() + "\n"
    stored, own = safetensors_loader.read(file), named_weights(network)
    return stored.card == card and all(
        np.array_equal(own[name], value) for name, value in stored.weights.items()
    )


def largest_deviation(live: Denoiser, denoiser: Denoiser) -> float:
    """Compares a loaded file with the live network on random images.

    The timesteps of a batch run from T - 1 down to 0, the labels from the null label down through
    the classes, so that both ends and the unconditional prediction are always among them.

    Args:
        live: Denoiser of the float32 network that was exported.
        denoiser: Denoiser of the file.

    Returns:
        float: the largest absolute difference of any predicted number; NaN if either gives NaN.
    """
    card, rng, deviations = denoiser.card, np.random.default_rng(0), []
    for batch in BATCH_SIZES:
        noisy_images = rng.standard_normal((batch, *card.image_shape)).astype(np.float32)
        timesteps = np.linspace(len(card.alphas_cumprod) - 1, 0, batch).round().astype(np.int32)
        labels = ((card.null_label - np.arange(batch)) % (card.null_label + 1)).astype(np.int32)
        more = trial_conditions(card, labels).more
        with _full_float32():
            expected, received = (
                each(noisy_images, timesteps, labels, **more) for each in (live, denoiser)
            )
        deviations.append(np.abs(received - expected).max())
    return float(np.max(deviations))


@contextlib.contextmanager
def _full_float32():
    """Without TensorFloat-32, whose 10-bit mantissa alone differs by more than the tolerance."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
