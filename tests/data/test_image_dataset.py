"""ImageDataset refuses what the rest of the project could not use."""

import numpy as np
import pytest

from kdiffusion.data import ImageDataset


def with_changes(dataset, **changes):
    return ImageDataset(**{**vars(dataset), **changes})


def test_derived_facts(numbered_dataset):
    assert numbered_dataset.image_shape == (4, 6, 3)
    assert numbered_dataset.num_classes == 53


@pytest.mark.parametrize(("batch_size", "steps"), [(1, 53), (8, 6), (26, 2), (27, 1), (53, 1)])
def test_steps_per_epoch_counts_whole_batches(numbered_dataset, batch_size, steps):
    assert numbered_dataset.steps_per_epoch(batch_size) == steps


@pytest.mark.parametrize("batch_size", [-1, 0, 54])
def test_impossible_batch_size_is_refused(numbered_dataset, batch_size):
    with pytest.raises(ValueError, match=f"`batch_size` .* Received: batch_size={batch_size}"):
        numbered_dataset.steps_per_epoch(batch_size)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("images", np.zeros((53, 4, 6, 3), np.float32), "`images` must be uint8"),
        ("images", np.zeros((53, 4, 6, 4), np.uint8), "`images` must be uint8 .* 1 or 3 channels"),
        ("images", np.zeros((53, 4, 6), np.uint8), r"`images` must be uint8 \[N, H, W, C\]"),
        ("images", np.zeros((52, 4, 6, 3), np.uint8), "`labels` must be int32 .* one label"),
        ("images", np.zeros((53, 4, 5, 3), np.uint8), "`validation_images` must have the shape"),
        ("validation_images", np.zeros((11, 4, 6, 1), np.uint8), "`validation_images` must have"),
        ("validation_images", np.zeros((11, 4, 6, 3)), "`validation_images` must be uint8"),
        ("labels", np.zeros(53, np.int64), "`labels` must be int32"),
        ("labels", np.full(53, 53, np.int32), r"`labels` must lie in \[0, 53\)"),
        ("labels", np.full(53, -1, np.int32), r"`labels` must lie in \[0, 53\)"),
        ("validation_labels", np.full(11, 53, np.int32), "`validation_labels` must lie in"),
        ("class_names", (), "`class_names` must be one or more different names"),
        ("class_names", ("same",) * 53, "`class_names` must be one or more different names"),
    ],
)
def test_bad_content_is_refused(numbered_dataset, field, value, message):
    with pytest.raises(ValueError, match=message):
        with_changes(numbered_dataset, **{field: value})


def test_an_empty_part_is_refused(numbered_dataset):
    nothing = {
        "validation_images": np.zeros((0, 4, 6, 3), np.uint8),
        "validation_labels": np.zeros(0, np.int32),
    }
    with pytest.raises(ValueError, match=r"`validation_labels` must .* one or more images"):
        with_changes(numbered_dataset, **nothing)
