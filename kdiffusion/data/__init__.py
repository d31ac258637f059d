"""Where images come from (`load_dataset`, `DATASETS`) and how they reach the network (tf.data).

Only the batches need TensorFlow; they are imported when first asked for (PEP 562).
"""

from typing import TYPE_CHECKING

from .image_dataset import ImageDataset
from .loading import DATASETS, load_dataset, name_and_directory

if TYPE_CHECKING:
    from .pipeline import training_batches, validation_batches

__all__ = [
    "DATASETS",
    "ImageDataset",
    "load_dataset",
    "name_and_directory",
    "training_batches",
    "validation_batches",
]


def __getattr__(name: str):
    if name in ("training_batches", "validation_batches"):
        from . import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
