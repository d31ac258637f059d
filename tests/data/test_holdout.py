"""The hold-out: stratified, seeded, of the right size, and a partition."""

import numpy as np
import pytest

from kdiffusion.data.image_dataset import Images, holdout_mask

LABELS = {
    "balanced": np.repeat(np.arange(10), 37),
    "skewed": np.repeat(np.arange(4), [1, 3, 50, 400]),
    "mixed order": np.random.default_rng(0).integers(0, 7, 333),
    "two": np.array([0, 0]),
    "few each": np.repeat(np.arange(20), 2),
}


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("fraction", [0.01, 0.1, 1 / 3, 0.5])
def test_each_class_gives_its_share(labels, fraction):
    mask = holdout_mask(labels, fraction, seed=0)
    counts, held = np.bincount(labels), np.bincount(labels[mask], minlength=labels.max() + 1)
    assert mask.sum() == max(1, round(fraction * len(labels)))
    assert (np.abs(held - fraction * counts) <= 1).all()
    assert (held < counts).all()


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_a_class_keeps_an_example_whatever_the_fraction(labels):
    mask = holdout_mask(labels, 0.999, seed=0)
    assert set(labels[~mask]) == set(labels)


def test_the_seed_decides():
    labels = LABELS["balanced"]
    masks = [holdout_mask(labels, 0.1, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).any()
    # Not a run of images one after another, which may be of one scene.
    gaps = np.diff(np.flatnonzero(holdout_mask(np.zeros(1000, int), 0.1, 0)))
    assert len(set(gaps)) > 5


def test_parts_are_a_partition_in_the_stored_order():
    images = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    labels = np.repeat(np.arange(5, dtype=np.int32), 20)
    dataset = Images(images, labels, tuple("abcde"), True).split("few", 0.2, seed=3)
    training, validation = dataset.images.ravel(), dataset.validation_images.ravel()
    assert sorted([*training, *validation]) == list(range(100))
    assert (np.diff(training.astype(int)) > 0).all()
    np.testing.assert_array_equal(dataset.labels, training // 20)
    np.testing.assert_array_equal(dataset.validation_labels, validation // 20)
    assert dataset.horizontal_flip
    assert dataset.class_names == tuple("abcde")
