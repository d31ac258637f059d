"""Damage is noticed before images come of it: a file's card, its seal, its golden predictions."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.seeded_noise import initial_latents

# What a loader gives: a function of arrays by the names of the graph's inputs, and the card.
Opened = tuple[Callable[..., np.ndarray], DenoiserCard]


class ArtifactError(ValueError):
    """An exported file that cannot be written or used; the message names the file and the need."""


def card_from_text(text: str | bytes | None, path: Path) -> DenoiserCard:
    """The card that a file carries as JSON.

    Raises:
        ArtifactError: no card, one of a newer version, or one whose numbers do not validate.
    """
    if not text:
        raise ArtifactError(f"{path} has no kdiffusion card: kdiffusion did not export it")
    try:
        return DenoiserCard.from_json(text)
    except ValueError as error:
        raise ArtifactError(f"{path} carries a card that cannot be used: {error}") from error


# A format writes this, uncompressed, in one place among its bytes, and `seal` fills it in.
UNSEALED = "kdiffusion-sha256:" + 64 * "0"
_SEAL = re.compile(rb"kdiffusion-sha256:(.{64})", re.DOTALL)  # a damaged digest is one too


def seal(path: Path, parts: Sequence[str]) -> None:
    """Puts the digest of an artifact in the place that its format left for it.

    Args:
        path: Path of the file or the folder.
        parts: patterns of the files that belong to it, below a folder; empty for a single file.
    """
    contents = _contents(path, parts)
    sealed = (UNSEALED[:-64] + _digest(path, contents)).encode()
    for file, content in contents.items():
        if UNSEALED.encode() in content:
            file.write_bytes(content.replace(UNSEALED.encode(), sealed))


def check_seal(path: Path, parts: Sequence[str] = ()) -> None:
    """Refuses an artifact whose bytes are not those that it was exported with.

    Args:
        path, parts: as in `seal`.

    Raises:
        ArtifactError: they differ.
    """
    contents = _contents(path, parts)
    seals = {match.group(1) for content in contents.values() for match in _SEAL.finditer(content)}
    if seals and seals != {UNSEALED[-64:].encode()} and seals != {_digest(path, contents).encode()}:
        raise ArtifactError(
            f"{path} is damaged, or was changed by another tool: its SHA-256 has changed "
            "since its export. Download it again, or export it again with `python -m kdiffusion "
            "export RUN_DIR`"
        )


def _contents(path, parts):
    """The bytes of each file, by its path, in the order of their names."""
    if not path.is_dir():
        return {path: path.read_bytes()}
    files = {file for part in parts for file in path.glob(part) if file.is_file()}
    return {file: file.read_bytes() for file in sorted(files)}


def _digest(path, contents):
    """SHA-256 over names and bytes as they were before the seal, in hexadecimal."""
    total = hashlib.sha256()
    for file, content in contents.items():
        unsealed = _SEAL.sub(UNSEALED.encode(), content)
        # A file alone may be renamed. Lengths: no byte can pass from one file to the next.
        name = "" if file == path else file.relative_to(path).as_posix()
        total.update(f"{name}\0{len(unsealed)}\0".encode())
        total.update(unsealed)
    return total.hexdigest()


SELF_CHECK_KEY = "kdiffusion.self_check"
VALUES = 64  # at most: a wrong kernel spoils nearly all
# Of the largest number. Float32 differs by 1e-5 between runtimes; TensorFloat-32's 10 bits by more.
TOLERANCE = 1e-3


EXAMPLE_SEEDS = [0, 1]


def example_inputs(card: DenoiserCard) -> dict[str, np.ndarray]:
    """Inputs of the golden predictions, by the contract's names.

    A batch of two: the noise of seeds 0 and 1, at the last timestep and a quarter of it, of class 0
    and of no class. Numbers are their means, an image is the noise of seed 2; the second have none.
    """
    last = len(card.alphas_cumprod) - 1
    inputs = {
        "noisy_image": initial_latents(EXAMPLE_SEEDS, card.image_shape).astype(np.float32),
        "timestep": np.array([last, last // 4], np.int32),
        "label": np.array([0, card.null_label], np.int32),
    }
    if card.numbers is not None:
        means = np.array([number.mean for number in card.numbers], np.float32)
        inputs["numbers"] = np.stack([means, np.full_like(means, np.nan)])
    if card.image is not None:
        image = initial_latents([2], card.condition_shapes["image"])
        inputs["image"] = np.concatenate([image, 0 * image]).astype(np.float32)
    return inputs


def golden_text(prediction: np.ndarray, card: DenoiserCard) -> str:
    """Evenly spread numbers of a prediction of `example_inputs`, and what those are, as JSON."""
    inputs = {name: example_inputs(card)[name].tolist() for name in ("timestep", "label")}
    numbers = [round(float(value), 6) for value in _spread(prediction)]
    return json.dumps({"seeds": EXAMPLE_SEEDS, **inputs, "prediction": numbers})


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
