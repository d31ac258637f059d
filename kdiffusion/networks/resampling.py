"""Changes of resolution between the levels of a U-Net."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from kdiffusion.networks.layers import Shape, Tensor


@keras.saving.register_keras_serializable("kdiffusion")
class Downsample(keras.layers.Layer):
    """Halves height and width by a 3x3 convolution with stride 2, as in DDPM.

    Args:
        channels: int. Output channels.
        symmetric: bool. A row of zeros on each side, as PyTorch pads; else below and on the right
            alone, as TensorFlow and so DDPM do. Defaults to `False`.

    Call: `[B, H, W, C]` ► `[B, H / 2, W / 2, channels]`.
    """

    def __init__(self, channels: int, symmetric: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels = channels
        self.symmetric = symmetric
        padding = "valid" if symmetric else "same"
        self.conv = keras.layers.Conv2D(
            channels, 3, strides=2, padding=padding, dtype=self.dtype_policy, name="conv"
        )

    def build(self, input_shape: Shape) -> None:
        if self.symmetric:  # Keras refuses a map that the kernel doesn't fit in
            batch, height, width, channels = input_shape
            input_shape = (batch, height + 2, width + 2, channels)
        self.conv.build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        if self.symmetric:
            inputs = ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return self.conv(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, height, width, _ = input_shape
        return (batch, height // 2, width // 2, self.channels)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels, "symmetric": self.symmetric}


@keras.saving.register_keras_serializable("kdiffusion")
class Upsample(keras.layers.Layer):
    """Doubles height and width by nearest neighbour and a 3x3 convolution, as in DDPM.

    Args:
        channels: int. Output channels.

    Call: `[B, H, W, C]` ► `[B, 2 H, 2 W, channels]`.

    Attributes:
        form: str, a key of `FORMS`. `"resized"` doubles the map, then convolves; `"transposed"` is
            one transposed convolution. See `kdiffusion.networks.layers`.
    """

    FORMS: ClassVar = {"resized": "_resized", "transposed": "_transposed"}

    def __init__(self, channels: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels = channels
        # In bfloat16 on a processor, TensorFlow's transposed convolution is slower on maps of 8x8.
        self.form = "transposed" if self.compute_dtype == "float32" else "resized"
        self.conv = keras.layers.Conv2D(
            channels, 3, padding="same", dtype=self.dtype_policy, name="conv"
        )

    def build(self, input_shape: Shape) -> None:
        batch, height, width, channels = input_shape
        self.conv.build((batch, 2 * height, 2 * width, channels))

    def call(self, inputs: Tensor) -> Tensor:
        return getattr(self, self.FORMS[self.form])(inputs)

    def _resized(self, inputs):
        _, height, width, _ = inputs.shape
        return self.conv(ops.image.resize(inputs, (2 * height, 2 * width), interpolation="nearest"))

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

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "channels": self.channels}
