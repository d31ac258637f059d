"""Opens a LiteRT file without TensorFlow; the card is zipped onto its end."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.diffusion.denoiser import INPUT_NAMES, OUTPUT_NAME

from .denoiser import (
    MOST_CARD_BYTES,
    ArtifactError,
    card_from_text,
    check_last_label,
    check_names,
    check_shape,
    import_runtime,
    one_image,
    opened,
)
from .saved_model_loader import SIGNATURE
from .seal import check_seal

if TYPE_CHECKING:
    from kdiffusion.artifacts.denoiser import LoadedDenoiser

ARTIFACT = "denoiser.tflite"
CARD_NAME = "denoiser_card.json"
COMPRESSION = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def recognises(path: Path) -> bool:
    """Whether `path` looks like a LiteRT file: its name ends in .tflite."""
    return path.is_file() and path.suffix == ".tflite"


def load(path: Path) -> LoadedDenoiser:
    """Opens a LiteRT file; TensorFlow is not needed.

    Args:
        path: path of the file.

    Returns:
        LoadedDenoiser.

    Raises:
        ArtifactError: a file that is damaged, has no usable card or other inputs, or LiteRT is not
            installed.
    """
    path = Path(path)
    _check_end(path)
    check_seal(path)
    card = card_from_text(_card_text(path), path)
    litert = import_runtime("ai_edge_litert.interpreter", path, "ai-edge-litert")
    try:
        interpreter = litert.Interpreter(str(path), num_threads=os.cpu_count())
        # LiteRT names inputs by the signature only; their order is another.
        serve = interpreter.get_signature_runner(SIGNATURE)
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"{path} cannot be read as a whole LiteRT file: {error}") from error
    check_names("inputs", list(serve.get_input_details()), INPUT_NAMES, path)
    check_names("outputs", list(serve.get_output_details()), [OUTPUT_NAME], path)

    def predict(noisy_images, timesteps, labels):
        outputs = serve(noisy_image=noisy_images, timestep=timesteps, label=labels)
        return outputs[OUTPUT_NAME]

    shape = serve.get_input_details()[INPUT_NAMES[0]]["shape_signature"]
    check_shape(card, shape, path)
    denoiser = opened(card, path, predict)
    check_last_label(card, path, lambda label: predict(*one_image(card, label)))
    return denoiser


def _check_end(path):
    """Refuses a file that doesn't end where its zip does, whose comment is the seal.

    Without its last bytes all the rest is there, and opens, but no whole seal is left to compare.
    """
    content = path.read_bytes()
    end = content.rfind(b"PK\5\6")  # 22 bytes, of which the last two are the comment's length
    if end < 0:
        return  # no zip, which `_card_text` tells of
    whole = end + 22 + int.from_bytes(content[end + 20 : end + 22], "little")
    if len(content) != whole:
        raise ArtifactError(
            f"{path} must be {whole} bytes, as its zip says. Received: {len(content)} bytes; the "
            "file is damaged"
        )


def _card_text(path):
    try:
        with zipfile.ZipFile(path) as archive, archive.open(CARD_NAME) as card:
            # Other methods are inflated a block at a time, however large it gets.
            if archive.getinfo(CARD_NAME).compress_type not in COMPRESSION:
                raise zipfile.BadZipFile("it is compressed by another method than deflate")
            return card.read(MOST_CARD_BYTES + 1)  # however large it says that it is
    except KeyError:
        return None
    except Exception as error:  # zlib's, of encryption, of methods that are not known, and more
        if not zipfile.is_zipfile(path):
            return None
        raise ArtifactError(
            f"{path} carries a denoiser card that cannot be read: {error}"
        ) from error
