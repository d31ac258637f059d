"""LiteRT (TensorFlow Lite), for phones and small boards: one .tflite file, the card zipped onto it.

An associated file in a zip archive at the end is how TensorFlow Lite's own metadata does it: the
runtime does not look there, and any unzip program shows the card.
"""

import tempfile
import zipfile
from pathlib import Path

from kdiffusion.artifacts.integrity import UNSEALED
from kdiffusion.artifacts.litert_loader import CARD_NAME, SIGNATURE

from . import saved_model_writer
from .source import ExportSource


def write(source: ExportSource, path: Path) -> None:
    """Converts a SavedModel of the network by TensorFlow, to built-in operations alone."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        saved_model_writer.write(source, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SIGNATURE])
        path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD_NAME, source.card.to_json())
        archive.comment = UNSEALED.encode()
