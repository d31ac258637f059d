"""Batches: a permutation an epoch, a pure function of (seed, step), shards, flips, range."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.data import ImageDataset
from kdiffusion.data.pipeline import training_batches, validation_batches
from kdiffusion.images import to_model_range, to_uint8

BATCH_SIZE = 8
STEPS_PER_EPOCH = 53 // BATCH_SIZE


def take(batches, count):
    return list(itertools.islice(batches.as_numpy_iterator(), count))


def labels_by_epoch(dataset, epochs, **arguments):
    """[epochs, steps_per_epoch * batch_size]: which examples each epoch shows, in order."""
    batches = take(training_batches(dataset, BATCH_SIZE, **arguments), epochs * STEPS_PER_EPOCH)
    return np.concatenate([labels for _, labels in batches]).reshape(epochs, -1)


def test_an_epoch_shows_no_example_twice_and_every_example_comes_in_some(numbered_dataset):
    epochs = labels_by_epoch(numbered_dataset, 10, seed=3)
    for epoch in epochs:
        assert len(set(epoch)) == STEPS_PER_EPOCH * BATCH_SIZE
    # Each is left out of an epoch with chance 5/53: 53 * (5/53)**10 is 3e-9.
    assert set(epochs.ravel()) == set(range(53))


def test_epochs_and_seeds_differ_and_orders_do_not_come_round_again(numbered_dataset):
    # An order that is cut to a few key bits, as index_shuffle's is, repeats after 256 epochs.
    orders = [labels_by_epoch(numbered_dataset, 300, seed=seed) for seed in (3, 4, 3 + 256)]
    assert len({tuple(order) for order in np.concatenate(orders)}) == 900


@pytest.mark.parametrize("first_step", [1, STEPS_PER_EPOCH - 1, STEPS_PER_EPOCH, 20])
def test_starting_at_a_step_gives_what_an_unbroken_run_sees(numbered_dataset, first_step):
    whole = take(training_batches(numbered_dataset, BATCH_SIZE, seed=5), first_step + 10)
    resumed = training_batches(numbered_dataset, BATCH_SIZE, seed=5, first_step=first_step)
    np.testing.assert_equal(take(resumed, 10), whole[first_step:])


def test_a_late_first_step_is_reached_at_once(numbered_dataset):
    batches = training_batches(numbered_dataset, BATCH_SIZE, seed=5, first_step=10**12)
    again = training_batches(numbered_dataset, BATCH_SIZE, seed=5, first_step=10**12 + 1)
    np.testing.assert_equal(take(batches, 3)[1:], take(again, 2))


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_shards_together_are_the_whole_batch(numbered_dataset, count):
    whole = take(training_batches(numbered_dataset, BATCH_SIZE, seed=5), 10)
    shards = [
        take(training_batches(numbered_dataset, BATCH_SIZE, seed=5, shard=(index, count)), 10)
        for index in range(count)
    ]
    for batch, *parts in zip(whole, *shards, strict=True):
        joined = tuple(map(np.concatenate, zip(*parts, strict=True)))
        np.testing.assert_equal(joined, batch)


def test_flips_are_mirror_images_and_about_half(numbered_dataset):
    batches = take(training_batches(numbered_dataset, BATCH_SIZE, seed=5), 500)
    images, labels = map(np.concatenate, zip(*batches, strict=True))
    images, originals = to_uint8(images), numbered_dataset.images[labels]
    kept = (images == originals).all(axis=(1, 2, 3))
    flipped = (images == originals[:, :, ::-1]).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(kept, ~flipped)
    assert abs(flipped.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(flipped))
    # Neither one draw a batch nor one an example.
    by_batch = flipped.reshape(-1, BATCH_SIZE).mean(axis=1)
    assert 0.5 < by_batch.var() / (0.25 / BATCH_SIZE) < 1.5
    assert 0 < flipped[labels == 0].mean() < 1


@pytest.mark.parametrize("says", [True, False])
@pytest.mark.parametrize("flip", [None, True, False])
def test_flip_decides_and_none_asks_the_dataset(numbered_dataset, says, flip):
    dataset = ImageDataset(**{**vars(numbered_dataset), "horizontal_flip": says})
    batches = take(training_batches(dataset, BATCH_SIZE, seed=5, flip=flip), 5)
    changed = any((to_uint8(x) != dataset.images[y]).any() for x, y in batches)
    assert changed == (says if flip is None else flip)


def test_every_pixel_value_is_brought_to_the_models_range():
    pixels, labels = np.arange(256, dtype=np.uint8), np.zeros(4, np.int32)
    images = pixels.reshape(4, 8, 8, 1)
    dataset = ImageDataset("ramp", images, labels, images, labels, ("only",), False)
    for batches in (training_batches(dataset, 4, seed=0), validation_batches(dataset, 4)):
        ((batch, _),) = take(batches, 1)
        assert batch.dtype == np.float32
        np.testing.assert_array_equal(np.unique(batch), to_model_range(pixels))


def test_training_batches_are_endless_with_a_static_batch_dimension(numbered_dataset):
    batches = training_batches(numbered_dataset, BATCH_SIZE, seed=0, shard=(1, 2))
    assert batches.cardinality() == tf.data.INFINITE_CARDINALITY
    images, labels = batches.element_spec
    assert images == tf.TensorSpec([4, 4, 6, 3], tf.float32)
    assert labels == tf.TensorSpec([4], tf.int32)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_validation_batches_are_all_examples_in_order(numbered_dataset, batch_size):
    dataset = validation_batches(numbered_dataset, batch_size)
    batches = take(dataset, 100)
    assert dataset.cardinality() == len(batches) == -(-11 // batch_size)
    assert all(len(labels) == batch_size for _, labels in batches[:-1])
    images, labels = map(np.concatenate, zip(*batches, strict=True))
    np.testing.assert_array_equal(to_uint8(images), numbered_dataset.validation_images)
    np.testing.assert_array_equal(labels, numbered_dataset.validation_labels)
    assert labels.dtype == np.int32


@pytest.fixture
def conditioned_dataset(numbered_dataset):
    """Each image beside its negative, and two numbers that say which it is."""
    numbers = np.stack([np.arange(53), -np.arange(53)], axis=1).astype(np.float32)
    conditions = {"numbers": numbers, "image": 255 - numbered_dataset.images}
    return dataclasses.replace(
        numbered_dataset,
        conditions=conditions,
        validation_conditions={name: each[:11] for name, each in conditions.items()},
        number_names=("up", "down"),
    )


def test_conditions_go_with_their_image(conditioned_dataset):
    batches = [
        *training_batches(conditioned_dataset, 8, seed=3).take(5),
        *validation_batches(conditioned_dataset, 8),
    ]
    for images, given in batches:
        np.testing.assert_allclose(given["image"], -images, atol=1e-6)
        np.testing.assert_array_equal(given["numbers"][:, 0], given["label"])
        np.testing.assert_array_equal(given["numbers"][:, 1], -given["label"].numpy())


def test_conditions_change_neither_the_order_nor_the_flips(conditioned_dataset, numbered_dataset):
    plain, conditioned = (
        take(training_batches(each, 8, seed=3), 3)
        for each in (numbered_dataset, conditioned_dataset)
    )
    np.testing.assert_equal([(images, given["label"]) for images, given in conditioned], plain)


@pytest.mark.parametrize("shard", [(0, 1), (1, 2)])
def test_what_is_made_of_an_image_depends_on_seed_and_step_alone(numbered_dataset, shard):
    dataset = dataclasses.replace(numbered_dataset, condition="masked")
    options = {"seed": 3, "condition_noise": 0.5}
    batches = list(training_batches(dataset, 8, **options).take(4))
    image, given = batches[3]
    hole = given["image"][..., 3] > 0
    assert 0 < np.mean(hole) < 1
    _, again = next(iter(training_batches(dataset, 8, first_step=3, shard=shard, **options)))
    rows = slice(4 * shard[0], None)
    np.testing.assert_array_equal(again["image"], given["image"][rows])
    noise = (given["image"][..., :3] - image)[~hole]
    assert 0.05 < np.std(noise) < 0.5
