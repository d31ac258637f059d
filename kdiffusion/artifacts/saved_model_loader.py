"""Opens a SavedModel by TensorFlow, without Keras; the card is in its `assets.extra/`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.diffusion.denoiser import INPUT_NAMES, OUTPUT_NAME

from .denoiser import (
    card_from_text,
    check_label_rows,
    check_names,
    check_shape,
    import_runtime,
    opened,
)
from .saved_model_reader import read_signature
from .seal import check_seal

if TYPE_CHECKING:
    import numpy as np

    from kdiffusion.artifacts.denoiser import LoadedDenoiser
    from kdiffusion.diffusion.card import DenoiserCard

ARTIFACT = "saved_model"
SIGNATURE = "serving_default"  # what TensorFlow Serving answers to when a request names none
# The folder that SavedModel reserves for files that TensorFlow itself does not read.
CARD_PATH = Path("assets.extra", "denoiser_card.json")
SEAL_PATH = Path("assets.extra", "denoiser_seal.txt")
# Not fingerprint.pb, which TensorFlow does without, nor what a server is given beside the card.
PARTS = ("saved_model.pb", "variables/*", str(CARD_PATH), str(SEAL_PATH))


def recognises(path: Path) -> bool:
    """Whether `path` looks like a SavedModel: a folder with a saved_model.pb."""
    return (path / "saved_model.pb").is_file()


def load(path: Path) -> LoadedDenoiser:
    """Opens a SavedModel by TensorFlow; Keras is not needed.

    Args:
        path: path of the folder.

    Returns:
        LoadedDenoiser.

    Raises:
        ArtifactError: a folder that is damaged, has no usable card, or has other inputs.
    """
    path = Path(path)
    serve, card = open_signature(path, INPUT_NAMES, OUTPUT_NAME)

    def predict(noisy_images, timesteps, labels):
        return serve(noisy_image=noisy_images, timestep=timesteps, label=labels)

    return opened(card, path, predict)


def open_signature(
    path: Path, input_names: Sequence[str], output_name: str
) -> tuple[Callable[..., np.ndarray], DenoiserCard]:
    """The function that a SavedModel of this project serves, and its card.

    Args:
        path: Path of the folder.
        input_names: names that its inputs must have.
        output_name: str. The name of its output.

    Returns:
        (callable on NumPy arrays by name, DenoiserCard).

    Raises:
        ArtifactError: as `load`.
    """
    check_seal(path, PARTS)
    card_path = path / CARD_PATH
    card = card_from_text(card_path.read_bytes() if card_path.is_file() else None, path)
    tf = import_runtime("tensorflow", path, "tensorflow")
    specs, outputs, serve, label_rows = read_signature(path, SIGNATURE)
    check_names("inputs", list(specs), input_names, path)
    check_names("outputs", outputs, [output_name], path)
    check_shape(card, specs[input_names[0]].shape.as_list(), path)
    check_label_rows(card, label_rows, path)

    def run(**arrays):
        return serve(**{name: tf.constant(array) for name, array in arrays.items()}).numpy()

    return run, card
