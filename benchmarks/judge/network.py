"""The judge's network: a short convolutional net that learns fast (Jordan 2024, arXiv:2404.00498).

Its first layer whitens 2x2 patches and keeps its filters. Then come levels of two 3x3 convolutions,
each level at half the resolution, and the greatest response of each filter: the features.

One width apart from its source: images of more pixels get more levels. GELU is in its tanh form,
which costs a quarter of the exact one on a processor.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kdiffusion.runs.build import resolve_policy

PATCH = 2  # pixels a side of the patches that the first layer whitens
# Relative to pixels in 0 .. 1. Directions of less variance than this are not blown up to one.
WHITENING_EPSILON = 3e-5
# A step of a shift counts as 8^2 = 64 steps of another weight: gradient and weight both see it.
SHIFT_GAIN = 8.0
LOGIT_SCALE = 1 / 9


@keras.saving.register_keras_serializable("kdiffusion")
class Shift(keras.layers.Layer):
    """Adds a number to each channel, learnt `SHIFT_GAIN`^2 times as fast as other weights.

    The shift is `SHIFT_GAIN` times a weight, which multiplies the gradient as well.
    """

    def build(self, input_shape: tuple) -> None:
        self.shift = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="shift")

    def call(self, inputs: Any) -> Any:
        return inputs + SHIFT_GAIN * self.shift


def judge_network(
    image_shape: tuple[int, int, int],
    num_classes: int,
    width: int,
    seed: int = 0,
    dtype_policy: str = "float32",
) -> keras.Model:
    """A fresh judge: pixels 0 .. 255, float32 `[B, H, W, C]`, to logits `[B, num_classes]`.

    Args:
        image_shape: (height, width, channels).
        num_classes: int.
        width: int. Channels of the first level; the others have four times as many.
        seed: int. Of the initial weights.
        dtype_policy: str. Keras dtype policy of the convolutions, or `"auto"` for the machine's.

    Returns:
        keras.Model.
    """
    dtype_policy = resolve_policy(dtype_policy)
    seeds = keras.random.SeedGenerator(seed)
    image = keras.Input(image_shape, name="image")
    # float32: whitening takes differences of bright pixels, which bfloat16 would round away.
    whiten = keras.layers.Conv2D(
        2 * PATCH**2 * image_shape[-1], PATCH, dtype="float32", name="whiten"
    )
    x = _gelu(whiten(image))
    whiten.kernel.trainable = False
    # Two halvings less than bring the smaller side to one pixel: 3 of 32 pixels, 1 of 8.
    levels = max(1, round(math.log2(min(image_shape[:2]))) - 2)
    for level, channels in enumerate([width, *(levels - 1) * [4 * width]]):
        for half in range(2):
            x = keras.layers.Conv2D(
                channels, 3, padding="same", use_bias=False, dtype=dtype_policy,
                kernel_initializer=_PassOn(seeds), name=f"level_{level}_conv_{half}",
            )(x)  # fmt: skip
            if half == 0:
                x = keras.layers.MaxPooling2D(2, dtype=dtype_policy)(x)
            x = keras.layers.BatchNormalization(
                momentum=0.8, epsilon=1e-5, center=False, scale=False, dtype=dtype_policy,
                name=f"level_{level}_norm_{half}",
            )(x)  # fmt: skip
            x = Shift(dtype=dtype_policy, name=f"level_{level}_shift_{half}")(x)
            x = _gelu(x)
    features = keras.layers.GlobalMaxPooling2D(dtype="float32", name="features")(x)
    logits = keras.layers.Dense(
        num_classes, use_bias=False, dtype="float32", kernel_initializer=_uniform(seeds),
        name="head",
    )(features)  # fmt: skip
    return keras.Model(image, LOGIT_SCALE * logits, name="judge")


def reading_network(network: keras.Model, both_sides: bool) -> keras.Model:
    """The trained network as it is used: in float32, the mirror image read as well.

    Args:
        network: keras.Model, from `judge_network`.
        both_sides: bool. Whether logits and features are the means of the image's and its mirror
            image's.

    Returns:
        keras.Model from `image` to a dictionary of `logits` and `features` `[B, D]`.
    """
    width = network.get_layer("level_0_conv_0").filters
    plain = judge_network(network.input_shape[1:], network.output_shape[-1], width)
    plain.set_weights(network.get_weights())
    features = plain.get_layer("features").output
    read = keras.Model(plain.input, {"logits": plain.output, "features": features}, name="judge")
    if not both_sides:
        return read
    image = keras.Input(network.input_shape[1:], name="image")
    found, mirrored = read(image), read(image[:, :, ::-1])
    means = {name: (found[name] + mirrored[name]) / 2 for name in found}
    return keras.Model(image, means, name="judge")


def whitening(images: np.ndarray, most: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    """Filters that give 2x2 patches of images uncorrelated responses of variance one.

    Each direction comes twice, with either sign.

    Args:
        images: uint8 array `[N, H, W, C]`.
        most: int. Images that are looked at, the first ones. Defaults to `5000`.

    Returns:
        (float32 `[2, 2, C, 8 C]`, float32 `[8 C]`): kernel and bias, on pixels 0 .. 255.
    """
    pixels = images[:most].astype(np.float32) / 255
    patches = np.lib.stride_tricks.sliding_window_view(pixels, (PATCH, PATCH), axis=(1, 2))
    patches = np.moveaxis(patches, 3, -1).reshape(-1, PATCH**2 * images.shape[-1])  # rows, columns
    mean = patches.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov(patches, rowvar=False))
    filters = vectors / np.sqrt(np.maximum(values, 0) + WHITENING_EPSILON)  # [4 C, 4 C]
    filters = np.concatenate([filters, -filters], axis=1)
    kernel = (filters / 255).reshape(PATCH, PATCH, images.shape[-1], -1)
    return kernel.astype(np.float32), (-mean @ filters).astype(np.float32)


def training_flops(network: keras.Model, images: int) -> int:
    """Floating-point operations of training on so many images: those of convolutions and products.

    A multiplication and an addition are two. The gradients cost twice the forward pass.

    Args:
        network: keras.Model, from `judge_network`.
        images: int. Images seen.
    """
    forward = 0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            places = math.prod(layer.output.shape[1:-1])
            forward += 2 * math.prod(layer.kernel.shape) * places
    return 3 * forward * images


def _gelu(x):
    return ops.gelu(x, approximate=True)


def _uniform(seeds):
    # In +- 1 / sqrt(fan-in).
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seeds)


class _PassOn(keras.initializers.Initializer):
    """The first output channels pass their input channels on, the others are random."""

    def __init__(self, seeds):
        self._random = _uniform(seeds)

    def __call__(self, shape, dtype=None):
        kernel = np.array(self._random(shape, "float32"))
        passed = min(shape[2:])
        kernel[..., :passed] = 0
        kernel[shape[0] // 2, shape[1] // 2, range(passed), range(passed)] = 1
        return ops.convert_to_tensor(kernel, dtype)
