"""Where images come from (`load_dataset`, `DATASETS`) and how they reach the network (tf.data)."""

from .image_dataset import ImageDataset
from .loading import DATASETS, load_dataset, name_and_directory

__all__ = ["DATASETS", "ImageDataset", "load_dataset", "name_and_directory"]
