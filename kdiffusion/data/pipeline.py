"""From uint8 images to batches for the network: order, flips, range (tf.data).

A training batch is a pure function of (seed, step), so a run that stops at any step resumes with
exactly the batches it would have seen: there is no iterator state to save.
"""

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from kdiffusion.condition_images import DRAWS, condition_image

from ..images import to_model_range
from .image_dataset import ImageDataset

# Whole batches to keep ready; a batch is cheap to make beside a training step.
PREFETCH_BATCHES = 4


def training_batches(
    dataset: ImageDataset,
    batch_size: int,
    *,
    seed: int,
    first_step: int = 0,
    flip: bool | None = None,
    shard: tuple[int, int] = (0, 1),
    condition_noise: float = 0.0,
) -> tf.data.Dataset:
    """Endless shuffled batches, element k being the batch of training step `first_step + k`.

    Each epoch has its own permutation of the training images, cut into whole batches. So no example
    is seen twice in an epoch. The remainder is left out; it differs from epoch to epoch.

    Args:
        dataset: ImageDataset. Only its training part is read.
        batch_size: int. Examples in the *global* batch, over all workers and replicas.
        seed: int, >= 0. With the step it determines the order and the flips, bit for bit.
        first_step: int, >= 0. The step to begin at, counted from the start of the run.
        flip: bool. Mirror each example left to right with probability 1/2. Defaults to `None`:
            what `dataset.horizontal_flip` says.
        shard: (index, count). Yield only the index-th of count equal contiguous parts of each
            global batch, so that workers together see what one worker would. Defaults to all.
        condition_noise: float. Largest standard deviation of noise on an image to condition on,
            each image's drawn evenly from 0 on (CDM, Ho et al. 2021). Defaults to `0.0`.

    Returns:
        `tf.data.Dataset` of (float32 images `[B, H, W, C]` in [-1, 1], int32 labels `[B]`, or a
        dict of labels and more conditions), with a static B = batch_size / count.
    """
    steps_per_epoch, rows = dataset.steps_per_epoch(batch_size), _shard_rows(batch_size, shard)
    flip = dataset.horizontal_flip if flip is None else flip
    seeds = {purpose: _derived_seed(seed, purpose) for purpose in ("flip", "condition", "noise")}
    images, labels, conditions = _tensors(dataset.images, dataset.labels, dataset.conditions)
    arrays = {"": images, **conditions}

    def make_batch(step, indices):
        indices = indices[rows]  # [B / count]
        batch = {name: tf.gather(each, indices) for name, each in arrays.items()}
        if flip:
            # Drawn for the global batch, so that a shard gets what the whole would get.
            draws = tf.random.stateless_uniform([batch_size], (seeds["flip"], step), alg="philox")
            batch = _mirrored(batch, draws[rows, None, None, None] < 0.5)
        label, image = tf.gather(labels, indices), _in_range(batch.pop(""))
        if not (batch or dataset.condition):
            return image, label
        draws = tf.random.stateless_uniform(
            [batch_size, DRAWS + 1], (seeds["condition"], step), alg="philox"
        )[rows]
        batch = _with_image(dataset, image, batch, draws[:, :DRAWS])
        if condition_noise and "image" in batch:
            noise = _normal(batch["image"], batch_size, (seeds["noise"], step))[rows]
            batch["image"] += condition_noise * draws[:, DRAWS, None, None, None] * noise
        return image, {"label": label, **batch}

    return (
        _batch_indices(len(dataset.images), batch_size, steps_per_epoch, seed, first_step)
        .enumerate(start=first_step)
        .map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        .prefetch(PREFETCH_BATCHES)
        .with_options(_options())
    )


def validation_batches(dataset: ImageDataset, batch_size: int) -> tf.data.Dataset:
    """All validation examples once, in order and never mirrored; the last batch may be smaller.

    Args:
        dataset: ImageDataset. Only its validation part is read.
        batch_size: int. Examples in the global batch.

    Returns:
        `tf.data.Dataset`, as of `training_batches`.
    """

    def convert(step, batch):
        images, labels, conditions = batch
        images = _in_range(images)
        if not (conditions or dataset.condition):
            return images, labels
        shape, seeds = [tf.shape(images)[0], DRAWS], (0, step)
        draws = tf.random.stateless_uniform(shape, seeds, alg="philox")
        return images, {"label": labels, **_with_image(dataset, images, conditions, draws)}

    whole: Any = _tensors(
        dataset.validation_images, dataset.validation_labels, dataset.validation_conditions
    )
    return (
        tf.data.Dataset.from_tensor_slices(whole)
        .batch(batch_size)
        .enumerate()
        .map(convert, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(PREFETCH_BATCHES)
        .with_options(_options())
    )


def _mirrored(batch, where):
    """Images left to right, and the images that they are conditioned on."""
    return {
        name: values if name == "numbers" else tf.where(where, tf.reverse(values, [2]), values)
        for name, values in batch.items()
    }


def _in_range(pixels):
    return to_model_range(tf.cast(pixels, tf.float32))


def _normal(images, count, seed):
    return tf.random.stateless_normal([count, *images.shape[1:]], seed, alg="philox")


def _with_image(dataset, images, conditions, draws):
    """Conditions beside the label, in the model's range, with the one that is made of the image."""
    conditions = dict(conditions)
    if dataset.condition is not None:
        made = tf.numpy_function(
            functools.partial(condition_image, dataset.condition), [images, draws], tf.float32
        )
        height, width, _ = dataset.image_shape
        shape = (images.shape[0], height, width, dataset.condition_image.channels)
        conditions["image"] = tf.ensure_shape(made, shape)
    elif "image" in conditions:
        conditions["image"] = _in_range(conditions["image"])
    return conditions


def _tensors(images, labels, conditions):
    """Images and what goes with them as tensors; memory-mapped images stay in their file."""
    # On a machine with a GPU a constant would land there, and each batch would be copied back.
    with tf.device("CPU:0"):
        labels = tf.constant(labels)
        conditions = {name: tf.constant(values) for name, values in conditions.items()}
        if not isinstance(images, np.memmap):
            return tf.constant(images), labels, conditions
        # The tensor takes over the array's memory. TensorFlow reads only arrays that may be written
        # to from DLPack, though it never writes to a tensor.
        interface = {**images.__array_interface__, "data": (images.ctypes.data, False)}
        mapped = np.asarray(SimpleNamespace(__array_interface__=interface, owner=images))
        return tf.experimental.dlpack.from_dlpack(mapped.__dlpack__()), labels, conditions


def _batch_indices(num_examples, batch_size, steps_per_epoch, seed, first_step):
    """Example indices int64 `[batch_size]` of each global batch from `first_step` on.

    `tf.random.experimental.index_shuffle` would need no permutation in memory, but cuts its key to
    the bits of the index: on 1,617 examples the orders repeat every 256 epochs, and with its 4
    rounds neighbours stay correlated. A Fisher-Yates shuffle an epoch costs 1 ms on 50,000.
    """
    order_seed = _derived_seed(seed, "order")
    first_epoch, skipped_steps = divmod(first_step, steps_per_epoch)

    def batches_of_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(  # pyright: ignore[reportAttributeAccessIssue]
            tf.range(num_examples, dtype=tf.int64), [order_seed, epoch], alg="philox"
        )
        batches = tf.reshape(order[: steps_per_epoch * batch_size], [steps_per_epoch, batch_size])
        skip = tf.where(epoch == first_epoch, skipped_steps, 0)
        return tf.data.Dataset.from_tensor_slices(batches[skip:])

    return tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max).flat_map(batches_of_epoch)


def _derived_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, so that order and flips are unrelated, as are close seeds."""
    mixed = np.random.SeedSequence([seed, *purpose.encode()]).generate_state(1, np.uint64)[0]
    return int(mixed >> np.uint64(1))  # fits TensorFlow's signed int64


def _shard_rows(batch_size: int, shard: tuple[int, int]) -> slice:
    index, count = shard
    return slice(index * batch_size // count, (index + 1) * batch_size // count)


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # What `shard` has divided already must not be sharded once more by tf.distribute.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Its thread may sleep for a minute when the iterator is to end, which waits for it. Batches
    # are made in a fraction of a step without it.
    options.autotune.enabled = False
    # Rewriting a pipeline this short gains nothing, and copies the images that it holds.
    options.experimental_optimization.apply_default_optimizations = False
    return options
