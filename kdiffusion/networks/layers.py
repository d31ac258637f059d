"""The small layers of the U-Net: norm, dense layer, down- and upsampling."""

from typing import Any

import keras
import numpy as np
from keras import ops

# A tensor of whichever backend, or a `keras.KerasTensor` while a functional graph is built.
Tensor = Any
# Sizes of a tensor's axes: ints, and None for one that is not known yet, which the batch's is.
Shape = tuple[Any, ...]

# A group of one channel would subtract exactly the condition that a block has just added to it,
# and of two, half of it; DDPM's narrowest map, 128 channels in 32 groups, has four.
MIN_GROUP_CHANNELS = 4


def silu(x: Tensor) -> Tensor:
    """x sigmoid(x) (Elfwing et al. 2018).

    In half precision the gradient is computed in float32 and rounded once: TensorFlow's own rounds
    after each of its five operations, and on a processor emulates every one of them.

    Args:
        x: tensor of any shape.
    """
    return ops.silu(x) if ops.dtype(x) == "float32" else _half_precision_silu(x)


@ops.custom_gradient
def _half_precision_silu(x):
    def gradient(*args, upstream=None):
        (upstream,) = args if upstream is None else (upstream,)
        x32 = ops.cast(x, "float32")
        gate = ops.sigmoid(x32)
        slope = gate * (1.0 + x32 * (1.0 - gate))
        return ops.cast(ops.cast(upstream, "float32") * slope, x.dtype)

    return ops.silu(x), gradient


def pointwise(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`[B, H, W, C]`, `[C, D]`, `[D]` ► `[B, H, W, D]`: what is dense at each position.

    As a convolution with a 1x1 kernel: in an exported graph it needs no change of layout.
    """
    return ops.conv(x, kernel[None, None]) + bias


@keras.saving.register_keras_serializable("kdiffusion")
class PointwiseDense(keras.layers.Dense):
    """A Dense layer at each position of a map.

    Args: those of `keras.layers.Dense`.

    Call: `[B, H, W, C]` ► `[B, H, W, units]`.
    """

    def call(self, inputs: Tensor) -> Tensor:
        x = pointwise(inputs, self.kernel, self.bias if self.use_bias else 0.0)
        return x if self.activation is None else self.activation(x)


def _group_count(channels, most, min_group_channels):
    """The largest number of wide enough groups, up to `most`, that divides the channels."""
    most = min(most, max(channels // min_group_channels, 1))
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)


def _mean_over_map(x):
    """`[B, H, W, C]` ► `[B, C]`."""
    if x.shape[1] == 1:
        # tf2onnx 1.17 makes a reshape of the transposition of a map of one row, and loses it in
        # the squared map. This one it keeps.
        rows = ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, x.shape[-1], x.shape[2]))
        return ops.mean(rows, axis=-1)
    # Kept dimensions, then a reshape: without them the exported graph transposes the whole map.
    return ops.reshape(ops.mean(x, axis=(1, 2), keepdims=True), (-1, x.shape[-1]))


def _over_map(x):
    """`[B, C]` ► `[B, 1, 1, C]`."""
    # By way of channels-first, the layout of ONNX, where the transpositions then cancel out.
    return ops.transpose(ops.reshape(x, (-1, x.shape[-1], 1, 1)), (0, 2, 3, 1))


@keras.saving.register_keras_serializable("kdiffusion")
class GroupNorm(keras.layers.Layer):
    """Group normalisation (Wu & He 2018), written for a small graph.

    The moments of each channel are averaged within its group by one constant matrix, and the
    normalisation is then one multiply and one add over the map, where
    `keras.layers.GroupNormalization`, once exported, moves the whole map about.

    Args:
        groups: int. Most groups to use. Narrow maps take fewer, so that a group has at least
            `min_group_channels`. Defaults to DDPM's `32`.
        epsilon: float. Added to the variance. Defaults to DDPM's `1e-6`.
        min_group_channels: int. Fewest channels of a group. Defaults to `4`.

    Call: `[B, H, W, C]` map; `[B, C]` shift or None, which is added to the map first; `[B, 2 C]`
    modulation or None, whose halves s and b make the result `normalised * (1 + s) + b` (AdaGN,
    Dhariwal & Nichol 2021, section 3.1) ► the normalised map. Moments are float32 under every
    policy.
    """

    def __init__(
        self,
        groups: int = 32,
        epsilon: float = 1e-6,
        min_group_channels: int = MIN_GROUP_CHANNELS,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.groups = groups
        self.epsilon = epsilon
        self.min_group_channels = min_group_channels

    def build(self, inputs_shape: Shape) -> None:
        channels = inputs_shape[-1]
        groups = _group_count(channels, self.groups, self.min_group_channels)
        size = channels // groups
        # NumPy, not a tensor: a tensor held by a layer becomes an input of the exported graph.
        self._group_mean = np.kron(np.eye(groups), np.full((size, size), 1.0 / size)).astype(
            "float32"
        )
        self.scale = self.add_weight(
            shape=(channels,), initializer="ones", name="scale", autocast=False
        )
        self.offset = self.add_weight(
            shape=(channels,), initializer="zeros", name="offset", autocast=False
        )

    def call(
        self, inputs: Tensor, shift: Tensor | None = None, modulation: Tensor | None = None
    ) -> Tensor:
        x = ops.cast(inputs, "float32")
        mean = _mean_over_map(x)  # [B, C]
        square = ops.matmul(_mean_over_map(ops.square(x)), self._group_mean)
        if shift is not None:  # the moments of x + shift, without another pass over the map
            shift = ops.cast(shift, "float32")
            square = square + ops.matmul(shift * (2.0 * mean + shift), self._group_mean)
            mean = mean + shift
        mean = ops.matmul(mean, self._group_mean)
        # Rounding can push a variance near zero below it.
        variance = ops.maximum(square - ops.square(mean), 0.0)
        scale = self.scale * ops.rsqrt(variance + self.epsilon)
        offset = self.offset - (mean if shift is None else mean - shift) * scale
        if modulation is not None:  # per channel, so that the map is still passed over once
            gain, bias = ops.split(ops.cast(modulation, "float32"), 2, axis=-1)
            scale, offset = scale * (1.0 + gain), offset * (1.0 + gain) + bias
        return ops.cast(x * _over_map(scale) + _over_map(offset), self.compute_dtype)


@keras.saving.register_keras_serializable("kdiffusion")
class Downsample(keras.layers.Layer):
    """Halves height and width by a 3x3 convolution with stride 2, as in DDPM.

    Args:
        channels: int. Output channels.

    Call: `[B, H, W, C]` ► `[B, H / 2, W / 2, channels]`.
    """

    def __init__(self, channels: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels = channels
        self.conv = keras.layers.Conv2D(
            channels, 3, strides=2, padding="same", dtype=self.dtype_policy.name, name="conv"
        )

    def build(self, input_shape: Shape) -> None:
        self.conv.build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return self.conv(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        return (batch, height // 2, width // 2, self.channels)


@keras.saving.register_keras_serializable("kdiffusion")
class Upsample(keras.layers.Layer):
    """Doubles height and width by nearest neighbour and a 3x3 convolution, as in DDPM.

    Args:
        channels: int. Output channels.

    Call: `[B, H, W, C]` ► `[B, 2 H, 2 W, channels]`.
    """

    def __init__(self, channels: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels = channels
        self.conv = keras.layers.Conv2D(
            channels, 3, padding="same", dtype=self.dtype_policy.name, name="conv"
        )

    def build(self, input_shape: Shape) -> None:
        batch, height, width, channels = input_shape
        self.conv.build((batch, 2 * height, 2 * width, channels))

    def call(self, inputs: Tensor) -> Tensor:
        # In bfloat16 on a processor, TensorFlow's transposed convolution is slower on maps of 8x8.
        return (self._transposed if self.compute_dtype == "float32" else self._resized)(inputs)

    def _resized(self, inputs):
        # XLA lacks the gradient of `ops.image.resize` in half precision.
        return self.conv(ops.repeat(ops.repeat(inputs, 2, axis=1), 2, axis=2))

    def _transposed(self, inputs):
        """The same as one transposed convolution, by four ninths of the multiplications.

        Its 4x4 kernel sums the taps that meet the same input pixel.
        """
        taps = ops.pad(self.conv.kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
        taps = taps[1:] + taps[:-1]
        taps = taps[:, 1:] + taps[:, :-1]
        kernel = ops.transpose(ops.flip(taps, (0, 1)), (0, 1, 3, 2))
        return ops.conv_transpose(inputs, kernel, strides=2, padding="same") + self.conv.bias

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        return (batch, 2 * height, 2 * width, self.channels)
