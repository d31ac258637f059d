"""What a judge is trained on: images mirrored and moved, and a part of them spoilt.

Drawn images carry grain and blur that real ones lack. A judge that never saw either would tell how
much of them there is, and not what the image shows.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from kdiffusion.data import ImageDataset

# Parts of what is spoilt of a batch, whose order is random, for each kind of harm. They overlap.
BLURRED = (0, 1 / 3)
GRAINY = (1 / 6, 5 / 6)
COMPRESSED = (2 / 3, 1)
BLUR_PIXELS = (0.3, 1.0)  # standard deviations of the Gaussian
GRAIN_LEVELS = (0.0, 16.0)  # standard deviations
JPEG_QUALITY = (30, 96)
# A judge that never saw grain reads it worse; each such image is one less as they are.
SPOILT_SHARE = 3 / 32
PREFETCH_BATCHES = 4


def judge_batches(
    dataset: ImageDataset, steps: int, batch_size: int, seed: int, flip: bool
) -> tf.data.Dataset:
    """Batches to train a judge on.

    Images come in one permutation after another. A mirrored image is one in every other of them
    (Jordan 2024, section 3.6), not half of the time by chance.

    Args:
        dataset: ImageDataset, whose training images are taken.
        steps: int. Batches.
        batch_size: int.
        seed: int. Of the order, and of what is done to the images.
        flip: bool. Whether to mirror.

    Returns:
        `tf.data.Dataset` of (float32 pixels 0 .. 255 `[B, H, W, C]`, one-hot labels float32
        `[B, num_classes]`).
    """
    rng, images = np.random.default_rng(seed), dataset.images
    count = steps * batch_size
    epochs = -(-count // len(images))
    order = np.concatenate([rng.permutation(len(images)) for _ in range(epochs)])[:count]
    mirrored_first = rng.integers(0, 2, len(images))
    mirror = (mirrored_first[order] + np.arange(count) // len(images)) % 2 == 1
    in_batches = (steps, batch_size)
    pixels, classes = tf.constant(images), tf.constant(dataset.labels)

    def make_batch(step, rows):
        chosen, mirror = rows
        step_seeds = tf.random.split([seed, tf.cast(step, tf.int32)], num=3, alg="philox")
        batch = tf.gather(pixels, chosen)
        if flip:
            batch = tf.where(mirror[:, None, None, None], batch[:, :, ::-1], batch)
        batch = tf.cast(_moved(batch, step_seeds[0]), tf.float32)
        batch = spoilt(batch, step_seeds[1])
        return batch, tf.one_hot(tf.gather(classes, chosen), dataset.num_classes)

    return (
        tf.data.Dataset.from_tensor_slices((order.reshape(in_batches), mirror.reshape(in_batches)))
        .enumerate()
        .map(make_batch, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .prefetch(PREFETCH_BATCHES)
    )


def spoilt(images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Blurs, then grains, then compresses parts of a batch, each image by an amount of chance.

    Args:
        images: float32 `[B, H, W, C]`, whole pixel values 0 .. 255.
        seed: int `[2]`.

    Returns:
        The same, whole pixel values 0 .. 255.
    """
    batch: Any = images.shape[0]  # known in every batch
    count = round(SPOILT_SHARE * batch)
    images, untouched = images[:count], images[count:]
    seeds = tf.unstack(tf.random.split(seed, num=4, alg="philox"))
    for part, change in (
        (BLURRED, lambda x: blurred(x, _uniform(x, seeds[0], *BLUR_PIXELS))),
        (GRAINY, lambda x: grainy(x, _uniform(x, seeds[1], *GRAIN_LEVELS), seeds[2])),
        (COMPRESSED, lambda x: compressed(x, _uniform(x, seeds[3], *JPEG_QUALITY))),
    ):
        images = _on_part(images, part, change)
    return tf.concat([images, untouched], axis=0)


def blurred(images: tf.Tensor, widths: tf.Tensor) -> tf.Tensor:
    """Convolves each image with a Gaussian of `widths` `[B]` pixels, cut off after two."""
    reach = 2
    taps = tf.range(-reach, reach + 1, dtype=tf.float32)
    weights = tf.nn.softmax(-0.5 * (taps / widths[:, None]) ** 2)  # [B, taps]
    for axis in (1, 2):
        paddings = [[0, 0], [0, 0], [0, 0], [0, 0]]
        paddings[axis] = [reach, reach]
        padded = tf.pad(images, paddings, "SYMMETRIC")
        length = tf.shape(images)[axis]
        images = tf.add_n(
            [
                weights[:, k, None, None, None]
                * tf.gather(padded, tf.range(k, k + length), axis=axis)
                for k in range(2 * reach + 1)
            ]
        )
    return _whole(images)


def grainy(images: tf.Tensor, levels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Adds independent normal noise of standard deviation `levels` `[B]` to each image."""
    noise = tf.random.stateless_normal(tf.shape(images), seed, alg="philox")
    return _whole(images + levels[:, None, None, None] * noise)


def compressed(images: tf.Tensor, qualities: tf.Tensor) -> tf.Tensor:
    """Each image through JPEG at a quality of `qualities` `[B]`, rounded down, up to 100."""
    channels = images.shape[-1]

    def through_jpeg(image_and_quality):
        image, quality = image_and_quality
        quality = tf.cast(quality, tf.int32)
        jpeg = tf.raw_ops.EncodeJpegVariableQuality(images=image, quality=quality)
        return tf.io.decode_jpeg(jpeg, channels=channels, dct_method="INTEGER_ACCURATE")

    pixels = tf.map_fn(
        through_jpeg, (tf.cast(images, tf.uint8), qualities), fn_output_signature=tf.uint8
    )
    return tf.ensure_shape(tf.cast(pixels, tf.float32), images.shape)


def _moved(images, seed):
    """Each image shifted by up to a sixteenth of its side, its edge filled by reflection."""
    batch, height, width, _ = images.shape
    reach = max(1, min(height, width) // 16)
    padded = tf.pad(images, [[0, 0], [reach, reach], [reach, reach], [0, 0]], "REFLECT")
    corners = tf.random.stateless_uniform(
        [2, batch, 1], seed, 0, 2 * reach + 1, tf.int32, alg="philox"
    )
    rows, columns = corners[0] + tf.range(height), corners[1] + tf.range(width)  # [B, H], [B, W]
    moved = tf.gather(padded, rows, axis=1, batch_dims=1)
    return tf.gather(moved, columns, axis=2, batch_dims=1)


def _on_part(images, part, change):
    """The batch with one part of it, from a share to a share, changed."""
    first, last = (round(share * images.shape[0]) for share in part)
    if first == last:
        return images
    return tf.concat([images[:first], change(images[first:last]), images[last:]], axis=0)


def _uniform(images, seed, low, high):
    return tf.random.stateless_uniform([images.shape[0]], seed, low, high, alg="philox")


def _whole(images):
    return tf.clip_by_value(tf.round(images), 0.0, 255.0)
