"""Reads back what `sample_to_folder` wrote."""

from pathlib import Path

import numpy as np


def read_folder(folder):
    """(images, labels, seeds) of each NPZ file, in the order of seeds."""
    for path in sorted(Path(folder).glob("images_*.npz")):
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays["images"], arrays["labels"], arrays["seeds"]
