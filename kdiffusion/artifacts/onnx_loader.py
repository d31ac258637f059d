"""Opens the ONNX file of a denoiser by ONNX Runtime alone; the card is in its metadata."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.diffusion.denoiser import INPUT_NAMES, OUTPUT_NAME
from kdiffusion.onnx_session import open_session

from .denoiser import (
    ArtifactError,
    card_from_text,
    check_last_label,
    check_names,
    check_shape,
    one_image,
    opened,
)
from .seal import check_seal
from .self_check import SELF_CHECK_KEY, check_runtime

if TYPE_CHECKING:
    import numpy as np

    from kdiffusion.artifacts.denoiser import LoadedDenoiser
    from kdiffusion.diffusion.card import DenoiserCard

ARTIFACT = "denoiser.onnx"
CARD_KEY = "kdiffusion.card"
SEAL_KEY = "kdiffusion.seal"


def recognises(path: Path) -> bool:
    """Whether `path` looks like an ONNX file: its name ends in .onnx."""
    return path.is_file() and path.suffix == ".onnx"


def load(path: Path) -> LoadedDenoiser:
    """Opens an ONNX file by ONNX Runtime alone.

    Args:
        path: path of the file.

    Returns:
        LoadedDenoiser.

    Raises:
        ArtifactError: a file that is damaged, has no usable card, or has other inputs.
    """
    path = Path(path)
    run, card = open_graph(path, INPUT_NAMES, OUTPUT_NAME, one_image)

    def predict(noisy_images, timesteps, labels):
        return run(noisy_image=noisy_images, timestep=timesteps, label=labels)

    return opened(card, path, predict)


def open_graph(
    path: Path,
    input_names: Sequence[str],
    output_name: str,
    one_image: Callable[[DenoiserCard, int], Sequence[np.ndarray]],
) -> tuple[Callable[..., np.ndarray], DenoiserCard]:
    """What an ONNX file of this project computes, and its card.

    Args:
        path: Path of the file.
        input_names: names that its inputs must have.
        output_name: str. The name of its output.
        one_image: callable from the card and a label to arrays for its inputs, in the order of
            `input_names`.

    Returns:
        (callable on NumPy arrays by name, DenoiserCard).

    Raises:
        ArtifactError: as `load`.
    """
    import onnxruntime

    check_seal(path)
    session = open_session(path, ArtifactError)
    try:
        metadata = session.get_modelmeta().custom_metadata_map
    except Exception as error:  # such as text that is no UTF-8
        raise ArtifactError(f"{path} cannot be read as a whole ONNX file: {error}") from error
    check_names("inputs", [value.name for value in session.get_inputs()], input_names, path)
    check_names("outputs", [value.name for value in session.get_outputs()], [output_name], path)
    card = card_from_text(metadata.get(CARD_KEY), path)
    shapes = {value.name: value.shape for value in session.get_inputs()}
    check_shape(card, shapes[input_names[0]], path)

    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4  # an error is raised; it isn't printed as well

    def run(**arrays):
        return session.run([output_name], arrays, quiet)[0]

    def run_label(label):
        return run(**dict(zip(input_names, one_image(card, label), strict=True)))

    check_last_label(card, path, run_label)
    runtime = f"ONNX Runtime on {session.get_providers()[0]}"
    check_runtime(metadata.get(SELF_CHECK_KEY), run, card, path, runtime)
    return run, card
