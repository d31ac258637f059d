"""Opens a LiteRT file without TensorFlow; the card is zipped onto its end."""

import os
import zipfile
from pathlib import Path

from kdiffusion.diffusion.denoiser import OUTPUT_NAME

from .integrity import Opened, card_from_text, check_seal
from .saved_model_loader import SIGNATURE

ARTIFACT = "denoiser.tflite"
CARD_NAME = "denoiser_card.json"


def recognises(path: Path) -> bool:
    """Whether `path` looks like a LiteRT file: its name ends in .tflite."""
    return path.is_file() and path.suffix == ".tflite"


def load(path: Path, trust: bool = False) -> Opened:
    """Opens a LiteRT file; TensorFlow is not needed.

    Raises:
        ArtifactError: a damaged file, or no usable card.
    """
    from ai_edge_litert.interpreter import Interpreter

    check_seal(path)
    card = card_from_text(_card_text(path), path)
    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    # LiteRT names inputs by the signature only; their order is another.
    serve = interpreter.get_signature_runner(SIGNATURE)
    return (lambda **arrays: serve(**arrays)[OUTPUT_NAME]), card


def _card_text(path):
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.read(CARD_NAME) if CARD_NAME in archive.namelist() else None
