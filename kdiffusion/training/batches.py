"""What `fit` and `evaluate` are handed, as the training step needs it; the rest refused by name.

Types and shapes are known when a step is traced, numbers on the device alone: each step returns
their range, and the host looks at it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.images import to_model_range
from kdiffusion.training.metrics import sum_over_replicas

# The key of a batch's range in a step's logs, which no callback gets to see.
BATCH_RANGE = "batch_range"

# float32 images may overshoot by their rounding.
SLACK = 1e-3
INFINITY = float("inf")
# Of so many images one has something darker than the middle of its range.
ENOUGH_IMAGES = 4


def images_and_labels(data: Any, network: keras.Model) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A batch in the types and shapes of the training step.

    uint8 pixels and labels `[B, 1]`, as `keras.datasets` gives them, have one meaning: they are
    brought to [-1, 1] and to `[B]`.

    Args:
        data: `(images, labels)`: float in [-1, 1] or uint8 `[B, H, W, C]`; int `[B]` or `[B, 1]`.
        network: keras.Model with `image_shape` and `num_classes`.

    Returns:
        float32 `[B, H, W, C]`; int32 `[B]`; and the batch's `batch_range`, by which a batch is
        refused once it was trained on. Until then its images that are not finite are black, lest
        the weights become NaN. Labels that are no class are moved to one: TensorFlow would stop at
        them on a processor, in words of its own, and take them for nothing on a GPU.

    Raises:
        ValueError: no labels, sample weights as well, or arrays of other types or shapes.
    """
    images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if labels is None or sample_weight is not None:
        raise ValueError(
            "`data` must be batches of (images, labels). Received: "
            f"{'images only' if labels is None else 'sample weights as well'}"
        )
    given = tf.convert_to_tensor(images)
    images = _images(given, network)
    labels = _labels(tf.convert_to_tensor(labels), tf.shape(images)[:1])
    numbers = batch_range(images, labels)
    if given.dtype == tf.uint8:  # pale pixels are pale images: they count as too few to tell
        numbers *= [0.0, 1.0, 1.0, 1.0, 1.0]
    images = tf.where(tf.math.is_finite(images), images, -1.0)
    return images, tf.clip_by_value(labels, 0, network.num_classes - 1), numbers


def _images(images, network):
    wanted = (None, *network.image_shape)
    refusal = (
        f"`images` must be of shape [B, {', '.join(map(str, network.image_shape))}], as the "
        "network is. Received:"
    )
    if not images.shape.is_compatible_with(wanted):
        raise ValueError(f"{refusal} {images.shape}")
    if not images.shape[1:].is_fully_defined():
        # TensorFlow forgets sizes that have changed since the step was traced first.
        matches = tf.reduce_all(tf.shape(images)[1:] == network.image_shape)
        with tf.control_dependencies([tf.debugging.Assert(matches, [refusal, tf.shape(images)])]):
            images = tf.ensure_shape(images, wanted)
    if images.dtype == tf.uint8:
        return to_model_range(tf.cast(images, tf.float32))
    if not images.dtype.is_floating:
        raise ValueError(
            "`images` must be floats in [-1, 1], or uint8 pixels from 0 to 255. "
            f"Received: {images.dtype.name}"
        )
    return tf.cast(images, tf.float32)


def _labels(labels, shape):
    # The rank is unknown in a function that TensorFlow traced for `[B]` and `[B, 1]` alike.
    is_column = labels.shape.rank == 2 and labels.shape[1] == 1
    if not (is_column or labels.shape.rank in (None, 1)) or not labels.dtype.is_integer:
        one_hot = " (`labels.argmax(-1)` of one-hot ones)" if labels.shape.rank == 2 else ""
        raise ValueError(
            f"`labels` must be whole numbers of shape [B], the class of each image{one_hot}. "
            f"Received: {labels.dtype.name} of shape {labels.shape}"
        )
    labels = tf.reshape(labels, shape)
    # Greater numbers are brought to the ends, not to a class: a cast takes them modulo 2**32.
    if labels.dtype.max > tf.int32.max:
        labels = tf.minimum(labels, tf.cast(tf.int32.max, labels.dtype))
    if labels.dtype.min < tf.int32.min:
        labels = tf.maximum(labels, tf.cast(tf.int32.min, labels.dtype))
    return tf.cast(labels, tf.int32)


def batch_range(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The range of a global batch, the same on every replica.

    Args:
        images: float32 `[B, H, W, C]`.
        labels: int32 `[B]`.

    Returns:
        float32 `[5]`: how many images; the least and the greatest of their numbers, infinite where
        one of them isn't finite; the least and the greatest label.
    """
    finite = tf.reduce_all(tf.math.is_finite(images))
    count = tf.cast(tf.shape(images)[0], tf.float32)
    least = (tf.where(finite, tf.reduce_min(images), -INFINITY), tf.reduce_min(labels))
    greatest = (tf.where(finite, tf.reduce_max(images), INFINITY), tf.reduce_max(labels))
    own = tf.stack([tf.cast(number, tf.float32) for number in (count, *least, *greatest)])
    context = tf.distribute.get_replica_context()
    is_own = tf.range(context.num_replicas_in_sync) == context.replica_id_in_sync_group
    ranges = sum_over_replicas(tf.where(is_own[:, None], own, 0.0))  # [replicas, 5]
    # Of a short batch, a replica may have no image: it has nothing to say.
    has_images = ranges[:, :1] > 0
    least = tf.reduce_min(tf.where(has_images, ranges[:, 1:3], INFINITY), axis=0)
    greatest = tf.reduce_max(tf.where(has_images, ranges[:, 3:], -INFINITY), axis=0)
    count = tf.reduce_sum(ranges[:, 0])
    return tf.stack([count, least[0], greatest[0], least[1], greatest[1]])


def check_range(numbers: Any, num_classes: int, may_be_pale: bool = False) -> None:
    """Refuses a batch whose range shows that its arrays are not what they are taken for.

    Args:
        numbers: float `[5]`, of `batch_range`.
        num_classes: int.
        may_be_pale: bool. Whether four images and more of which no number is below 0 are no
            mistake. Among thousands of batches there may be such a pale one.

    Raises:
        ValueError: images that are not finite, outside [-1, 1] or in [0, 1]; labels that are no
            class.
    """
    count, least, greatest, least_label, greatest_label = np.asarray(numbers).tolist()
    received = f"Received: images from {least:.6g} to {greatest:.6g}"
    if math.isinf(greatest):
        raise ValueError("`images` must be finite numbers. Received: NaN or infinity among them")
    if not (least >= -1 - SLACK and greatest <= 1 + SLACK):
        raise ValueError(
            "`images` must be floats in [-1, 1]; `kdiffusion.to_model_range` brings pixels from 0 "
            f"to 255 there. {received}"
        )
    if not may_be_pale and count >= ENOUGH_IMAGES and least >= 0 and greatest > 0:
        raise ValueError(
            "`images` must be floats in [-1, 1], and none of the first ones has a number below 0; "
            f"`2 * images - 1` brings images from 0 to 1 there. {received}"
        )
    if not 0 <= least_label <= greatest_label < num_classes:
        raise ValueError(
            f"`labels` must lie in [0, {num_classes - 1}], one number for each of the network's "
            f"{num_classes} classes. Received: labels from {least_label:.0f} to "
            f"{greatest_label:.0f}"
        )


# A mixin; to a type checker it is what it is mixed into.
class ChecksBatches(keras.Model if TYPE_CHECKING else object):
    """Mixed into a `keras.Model` whose steps log a `BATCH_RANGE`, which it keeps from Keras.

    An epoch's first batch is looked at when it is done, each other one when the next was sent to
    the device, which so never waits for the host; the last one with the epoch's metrics. Of the
    batches of one execution, where `steps_per_execution` makes it several, the last is.
    """

    # Set where the images are known to be pixels, brought to [-1, 1]: then all may be pale.
    may_be_pale = False
    _has_begun = False  # the epoch's first batch was looked at
    _pending = None  # the range of a batch that was not
    # How many images the epoch began with of which no number is below 0; None after any other.
    _pale: float | None = 0.0

    def make_train_function(self, force: bool = False) -> Any:
        made = self.train_function
        super().make_train_function(force)
        if self.train_function is not made:
            self.train_function = self._checking(self.train_function)

    def make_test_function(self, force: bool = False) -> Any:
        made = self.test_function
        super().make_test_function(force)
        if self.test_function is not made:
            self.test_function = self._checking(self.test_function)

    def reset_metrics(self) -> None:
        self._check_last()
        self._begin()
        super().reset_metrics()

    def get_metrics_result(self) -> Any:
        self._check_last()
        return super().get_metrics_result()

    def _begin(self):
        self._has_begun, self._pending, self._pale = False, None, 0.0

    def _check_last(self):
        pending, self._pending = self._pending, None
        if pending is not None:
            self._check(pending)

    def _checking(self, function):
        def run(iterator):
            logs = dict(function(iterator))
            # A subclass whose step returns logs of its own has no range to look at.
            numbers = logs.pop(BATCH_RANGE, None)
            self._check_last()
            self._pending = numbers
            if not self._has_begun:
                self._check_last()
            self._has_begun = True
            return logs

        return run

    def _check(self, numbers):
        count, least, *others = np.asarray(numbers).tolist()
        if self._pale is not None:
            self._pale = self._pale + count if least >= 0 else None
        may_be_pale = self.may_be_pale or self._pale is None
        numbers = (self._pale or count, least, *others)
        try:
            check_range(numbers, self.network.num_classes, may_be_pale)
        except ValueError:
            self._begin()  # what is refused is not refused again
            raise
