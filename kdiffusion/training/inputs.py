"""What `DiffusionModel` is given: a network that can be trained as a denoiser, and batches."""

import reprlib
import types
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.images import to_model_range
from kdiffusion.training.conditions import call_once, conditions_of


def check_network(network: keras.Model) -> None:
    """Builds a network that isn't built yet; refuses one that would train silently wrong.

    Args:
        network: keras.Model with the inputs `noisy_image` `[B, H, W, C]`, `timestep` and `label`
            `[B]`, and more as of `condition_shapes`, one output `[B, H, W, C]`, `image_shape` and
            `num_classes`.

    Raises:
        ValueError: a missing attribute; a prediction in another shape, which would be broadcast;
            weights in another type than float32, in which small updates and the moving average are
            lost.
    """
    missing = [name for name in ("image_shape", "num_classes") if not hasattr(network, name)]
    if missing:
        raise ValueError(
            f"`network` must have the attributes {missing}, such as after "
            "`network.image_shape, network.num_classes = (32, 32, 3), 10`"
        )
    outputs = getattr(network, "outputs", None)
    prediction = outputs[0] if outputs else call_once(network)
    if tuple(prediction.shape[1:]) != tuple(network.image_shape):
        raise ValueError(
            f"`network` must predict in the shape of its images, {network.image_shape}. "
            f"Received: {tuple(prediction.shape[1:])}"
        )
    types = {str(weight.dtype) for weight in network.trainable_variables}
    if types - {"float32"}:
        raise ValueError(f"`network` must hold its weights in float32. Received: {sorted(types)}")


FIRST_IMAGES = 64  # of an array, looked at before training begins
SLACK = 1e-3  # float32 images may overshoot by their rounding


def images_and_conditions(
    data: Any, network: keras.Model
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """A batch in the types and shapes of the training step.

    Args:
        data: `(images, conditions)`: float in [-1, 1] or uint8 `[B, H, W, C]`; labels, or a dict,
            as for `conditions_of`.
        network: keras.Model with an `image_shape`.

    Returns:
        float32 `[B, H, W, C]` in [-1, 1], and the conditions.
    """
    images, given, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError(
            "`class_weight` and `sample_weight` must be None: the loss of diffusion has no weights "
            "for examples"
        )
    images = tf.convert_to_tensor(images)
    if images.dtype == tf.uint8:
        images = to_model_range(tf.cast(images, tf.float32))
    images = tf.ensure_shape(tf.cast(images, tf.float32), (None, *network.image_shape))
    return images, conditions_of(given, network, tf.shape(images)[0])


def with_checked_start(x: Any, y: Any, network: keras.Model) -> tuple[Any, int]:
    """What `fit` was given as `x`, if its first batch doesn't train to something silently wrong.

    And how many images were looked at: a batch, but of an array.

    Args:
        x, y: as in `keras.Model.fit`.
        network: keras.Model with an `image_shape` and `num_classes`.

    Raises:
        ValueError: images of another shape, or that are neither uint8 nor floats in [-1, 1], or of
            which none has a number below 0; labels that are no class.
    """
    if y is None and hasattr(x, "shape"):
        raise ValueError(
            "`y` must be the label of each image, or a dict of conditions; {} for a model that has "
            "neither. Received: None"
        )
    if y is not None:
        batch = x[:FIRST_IMAGES], y
    elif isinstance(x, types.GeneratorType):  # which can't be begun twice
        batch = next(x)
        x = (each for part in ([batch], x) for each in part)
    elif isinstance(x, tf.distribute.DistributedDataset):  # of what a run has checked itself
        return x, 0
    else:
        batch = next(iter(x))
    images, given, _ = keras.utils.unpack_x_y_sample_weight(batch)
    _check_images(np.asarray(images), tuple(network.image_shape))
    labels = given.get("label") if isinstance(given, Mapping) else given
    if labels is not None:
        _check_labels(np.asarray(labels), network.num_classes)
    return x, len(images)


def _check_images(images, image_shape):
    low, high = images.min(), images.max()
    is_scaled = -1 - SLACK <= low < 0 and high <= 1 + SLACK
    if images.shape[1:] != image_shape or not (is_scaled or images.dtype == np.uint8):
        raise ValueError(
            f"`images` must be {('batch', *image_shape)}, uint8 pixels from 0 to 255, or floats in "
            "[-1, 1]: `2 * images - 1` brings floats from 0 to 1 there, `images / 127.5 - 1` those "
            f"from 0 to 255. Received: {images.dtype} {images.shape} from {low:.6g} to {high:.6g}"
        )


def _check_labels(labels, num_classes):
    is_one_each = labels.size == len(labels)  # not one-hot
    is_class = labels.dtype.kind in "iu" and 0 <= labels.min() <= labels.max() < num_classes
    if not (is_one_each and is_class):
        raise ValueError(
            f"`labels` must be whole numbers from 0 to {num_classes - 1}, the class of each image. "
            f"Received: {labels.dtype} {labels.shape}, {reprlib.repr(np.unique(labels).tolist())}"
        )
