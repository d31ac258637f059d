"""The four files of MNIST's format, and TFDS in their absence."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from kdiffusion.data import load_dataset
from kdiffusion.data.idx import CLASS_NAMES
from tests.data.made_up import random_pixels, store_tfds, write_idx


def test_the_files_hold_images_row_by_row_and_their_labels(tmp_path):
    data = load_dataset("fashion_mnist", directory=write_idx(tmp_path))
    np.testing.assert_array_equal(data.images, random_pixels(20, (28, 28, 1), seed=20))
    np.testing.assert_array_equal(data.validation_images, random_pixels(10, (28, 28, 1), seed=10))
    np.testing.assert_array_equal(data.labels, np.arange(20) % 10)


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_tfds_has_the_same_classes(name, tmp_path):
    builder = tfds.builder(name)
    features = builder.info.features
    splits = dict.fromkeys(("train", "test"), (random_pixels(10, (28, 28, 1)), np.arange(10)))
    stored = store_tfds(tmp_path, features, splits, name, str(builder.version))
    found = load_dataset(name, directory=stored)
    assert (found.class_names, found.image_shape) == (CLASS_NAMES[name], (28, 28, 1))
