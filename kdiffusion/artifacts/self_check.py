"""Golden predictions in an exported file: a runtime that computes otherwise is noticed on opening.

The seal proves that the file is whole; a faulty driver, a runtime's bug or a reduced precision can
still make other numbers of it. So the file carries some numbers of its own prediction, made on one
thread of the processor, for inputs that anyone can make: the noise of seeds 0 and 1. The browser
page compares them too. A file without them opens unchecked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.diffusion.seeded_noise import initial_latents

from .denoiser import ArtifactError

if TYPE_CHECKING:
    from kdiffusion.diffusion.card import DenoiserCard

SELF_CHECK_KEY = "kdiffusion.self_check"
VALUES = 64  # at most: a wrong kernel spoils nearly all
# Of the largest number. Float32 differs by 1e-5 between runtimes; TensorFloat-32's 10 bits by more.
TOLERANCE = 1e-3


def example_inputs(card: DenoiserCard) -> dict[str, np.ndarray]:
    """Inputs of the golden predictions, by the contract's names.

    A batch of two: the noise of seeds 0 and 1, at the last timestep and a quarter of it, of class 0
    and of no class.
    """
    last = len(card.alphas_cumprod) - 1
    return {
        "noisy_image": initial_latents([0, 1], card.image_shape).astype(np.float32),
        "timestep": np.array([last, last // 4], np.int32),
        "label": np.array([0, card.null_label], np.int32),
    }


def golden_text(prediction: np.ndarray) -> str:
    """Evenly spread numbers of a prediction of `example_inputs`, as JSON."""
    return json.dumps({"prediction": [round(float(value), 6) for value in _spread(prediction)]})


def check_runtime(
    text: str | None, run: Callable[..., np.ndarray], card: DenoiserCard, path: Path
) -> None:
    """Refuses a runtime that doesn't predict the numbers that the file carries.

    Args:
        text: str or None. What `golden_text` made; None: nothing is compared.
        run: callable on arrays under the contract's names, to the prediction.
        card: DenoiserCard.
        path: Path. The file, for the error.

    Raises:
        ArtifactError: other numbers.
    """
    if text is None:
        return
    golden = np.array(json.loads(text)["prediction"])
    difference = np.abs(_spread(run(**example_inputs(card))) - golden).max()
    if not difference <= TOLERANCE * max(1.0, np.abs(golden).max()):  # a NaN must not pass
        raise ArtifactError(
            f"{path}: the runtime does not compute what this file predicts, so its images would be "
            f"wrong; a driver, a library or the file is at fault. Largest difference: "
            f"{difference:.0e}"
        )


def _spread(prediction):
    numbers = np.asarray(prediction).ravel()
    return numbers[:: -(-numbers.size // VALUES)]
