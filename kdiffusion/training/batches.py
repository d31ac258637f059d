"""What `DiffusionModel` is given: a network that can be trained as a denoiser, and batches."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.images import to_model_range


def check_network(network: keras.Model) -> None:
    """Builds a network that isn't built yet; refuses one that would train silently wrong.

    Args:
        network: keras.Model with the inputs `noisy_image` `[B, H, W, C]`, `timestep` and `label`
            `[B]`, one output `[B, H, W, C]`, `image_shape` and `num_classes`.

    Raises:
        ValueError: a prediction in another shape, which would be broadcast; weights in another
            type than float32, in which small updates and the moving average are lost.
    """
    outputs = getattr(network, "outputs", None)
    prediction = outputs[0] if outputs else call_once(network, network.image_shape)
    if tuple(prediction.shape[1:]) != tuple(network.image_shape):
        raise ValueError(
            f"`network` must predict in the shape of its images, {network.image_shape}. "
            f"Received: {tuple(prediction.shape[1:])}"
        )
    types = {str(weight.dtype) for weight in network.trainable_variables}
    if types - {"float32"}:
        raise ValueError(f"`network` must hold its weights in float32. Received: {sorted(types)}")


def call_once(network: keras.Model, image_shape: tuple[int, int, int]) -> Any:
    """The prediction `[1, H, W, C]` for one grey image; a network that was not built is, then."""
    return network(
        {
            "noisy_image": np.zeros((1, *image_shape), "float32"),
            "timestep": np.zeros(1, "int32"),
            "label": np.zeros(1, "int32"),
        },
        training=False,
    )


FIRST_IMAGES = 64  # of an array, looked at before training begins
SLACK = 1e-3  # float32 images may overshoot by their rounding


def images_and_labels(data: Any, network: keras.Model) -> tuple[tf.Tensor, tf.Tensor]:
    """A batch in the types and shapes of the training step.

    Args:
        data: `(images, labels)`: float in [-1, 1] or uint8 `[B, H, W, C]`; int `[B]` or `[B, 1]`.
        network: keras.Model with an `image_shape`.

    Returns:
        float32 `[B, H, W, C]` in [-1, 1], and int32 `[B]`.
    """
    images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError("`sample_weight` must be None: the loss of diffusion doesn't use it")
    images, labels = tf.convert_to_tensor(images), tf.convert_to_tensor(labels)
    if images.dtype == tf.uint8:
        images = to_model_range(tf.cast(images, tf.float32))
    images = tf.ensure_shape(tf.cast(images, tf.float32), (None, *network.image_shape))
    return images, tf.reshape(tf.cast(labels, tf.int32), tf.shape(images)[:1])


def check_first_batch(x: Any, y: Any, num_classes: int) -> None:
    """Refuses images and labels that would train to something silently wrong.

    It looks at arrays and at `tf.data`. A generator would lose its first batch, so is left alone.

    Args:
        x, y: as in `keras.Model.fit`.
        num_classes: int.

    Raises:
        ValueError: images outside [-1, 1] that aren't uint8; labels that are no class.
    """
    if isinstance(x, tf.data.Dataset):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(next(iter(x.take(1))))
    if y is None:
        return
    images, labels = np.asarray(x[:FIRST_IMAGES]), np.asarray(y[:FIRST_IMAGES])
    if images.dtype != np.uint8:
        low, high = images.min(), images.max()
        if not (low >= -1 - SLACK and high <= 1 + SLACK):
            raise ValueError(
                "`images` must be floats in [-1, 1], or uint8 pixels from 0 to 255. "
                f"Received: {images.dtype} from {low:.6g} to {high:.6g}"
            )
        if low >= 0 and high > 0:
            warnings.warn(
                "`images` should be floats in [-1, 1], and none of the first ones has a number "
                "below 0: `2 * images - 1` brings images from 0 to 1 there.",
                stacklevel=3,
            )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"`labels` must be whole numbers from 0 to {num_classes - 1}, the class of each image. "
            f"Received: {labels.dtype} from {labels.min()} to {labels.max()}"
        )
