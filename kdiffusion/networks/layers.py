"""The parts of the U-Net, as in DDPM (Ho et al. 2020, appendix B), in `keras.ops` alone.

Every layer works on channels-last maps `[B, H, W, C]`, under any dtype policy, and is serialisable.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops

from kdiffusion.networks.activation import silu
from kdiffusion.networks.normalisation import GroupNorm

if TYPE_CHECKING:
    from kdiffusion.networks.types import Shape, Tensor

if TYPE_CHECKING:
    from kdiffusion.networks.types import Shape, Tensor


def _register(layer_class):
    return keras.saving.register_keras_serializable("kdiffusion")(layer_class)


def _pointwise(x, kernel, bias):
    """`[B, H, W, C]`, `[C, D]`, `[D]` ► `[B, H, W, D]`, as a convolution with a 1x1 kernel."""
    return ops.conv(x, kernel[None, None]) + bias


@_register
class TimestepEmbedding(keras.layers.Layer):
    """Sinusoidal embedding of the timestep (Vaswani et al. 2017, section 3.5, as DDPM uses it).

    Args:
        channels: int, even. Half of them are sines, half cosines.
        max_period: float. The slowest wave repeats after this many timesteps (times 2 pi).
            Defaults to `10_000`.
        cosine_first: bool. Cosines before sines. Defaults to DDPM's `False`.
        frequency_shift: int. The periods are spread over half the channels less this many: 1, and
            the slowest wave has `max_period`. Defaults to DDPM's `1`.

    Call: int `[B]` timesteps ► `[B, channels]`.
    """

    def __init__(
        self,
        channels: int,
        max_period: float = 10_000.0,
        cosine_first: bool = False,
        frequency_shift: int = 1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if channels < 2 or channels % 2:
            raise ValueError(
                f"`channels` must be even and at least 2. Received: channels={channels}"
            )
        self.channels = channels
        self.max_period = max_period
        self.cosine_first = cosine_first
        self.frequency_shift = frequency_shift
        half = channels // 2
        spread = max(half - frequency_shift, 1)
        frequencies = np.exp(-math.log(max_period) * np.arange(half) / spread)
        self._frequencies = frequencies.astype("float32")

    def call(self, timestep: Tensor) -> Tensor:
        # float32 even under a half-precision policy: bfloat16 cannot tell t = 998 from t = 999.
        angles = ops.cast(timestep, "float32")[:, None] * self._frequencies  # [B, channels / 2]
        waves = [ops.sin(angles), ops.cos(angles)]
        waves = ops.concatenate(waves[::-1] if self.cosine_first else waves, axis=-1)
        return ops.cast(waves, self.compute_dtype)

    def compute_output_shape(self, timestep_shape: Shape) -> Shape:
        return (timestep_shape[0], self.channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": self.channels,
            "max_period": self.max_period,
            "cosine_first": self.cosine_first,
            "frequency_shift": self.frequency_shift,
        }


@_register
class ConditionEmbedding(keras.layers.Layer):
    """Time and label as one vector: their embeddings, concatenated, through a two-layer MLP.

    The label table has `num_classes + 1` rows; the last one is the null label of classifier-free
    guidance (Ho & Salimans 2022), which stands for "no label given".

    Args:
        num_classes: int. Real classes; the null label is `num_classes`.
        time_channels: int. Width of the sinusoidal embedding of the timestep.
        label_channels: int. Width of the label's embedding.
        channels: int. Width of the result.

    Call: int `[B]` timesteps, int `[B]` labels ► `[B, channels]`, after the last SiLU, so that a
    block only has to project it.
    """

    def __init__(
        self,
        num_classes: int,
        time_channels: int,
        label_channels: int,
        channels: int,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.time_channels = time_channels
        self.label_channels = label_channels
        self.channels = channels
        self.embed_time = TimestepEmbedding(time_channels, dtype=self.dtype_policy)
        # As strong as the sines of the time, whose RMS is sqrt(1/2): Keras starts an embedding at
        # 0.03, where the label hardly counts until it has grown (EDM, too, scales labels up).
        self.embed_label = keras.layers.Embedding(
            num_classes + 1,
            label_channels,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.5**0.5),
            dtype=self.dtype_policy,
        )
        self.hidden = keras.layers.Dense(channels, activation="silu", dtype=self.dtype_policy)
        self.project = keras.layers.Dense(channels, activation="silu", dtype=self.dtype_policy)

    def build(self, timestep_shape: Shape, label_shape: Shape) -> None:
        batch = timestep_shape[0]
        self.embed_label.build(label_shape)
        self.hidden.build((batch, self.time_channels + self.label_channels))
        self.project.build((batch, self.channels))

    def call(self, timestep: Tensor, label: Tensor) -> Tensor:
        both = ops.concatenate([self.embed_time(timestep), self.embed_label(label)], axis=-1)
        return self.project(self.hidden(both))

    def compute_output_shape(self, timestep_shape: Shape, label_shape: Shape) -> Shape:
        return (timestep_shape[0], self.channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "time_channels": self.time_channels,
            "label_channels": self.label_channels,
            "channels": self.channels,
        }


@_register
class AddedConditionEmbedding(keras.layers.Layer):
    """Time and label as one vector: the time through a two-layer MLP, plus a row for the label.

    As in guided-diffusion and diffusers' `UNet2DModel`. The table's last row is that of the null
    label, as in `ConditionEmbedding`. All rows start at zero: a network that was trained without
    labels predicts what it did.

    Args:
        num_classes: int. Real classes; the null label is `num_classes`.
        time_channels: int. Width of the sinusoidal embedding of the timestep.
        channels: int. Width of the result, and of the label's rows.
        cosine_first, frequency_shift: as of `TimestepEmbedding`.

    Call: int `[B]` timesteps, int `[B]` labels ► `[B, channels]`, after the last SiLU, so that a
    block only has to project it.
    """

    def __init__(
        self,
        num_classes: int,
        time_channels: int,
        channels: int,
        cosine_first: bool = False,
        frequency_shift: int = 1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.time_channels = time_channels
        self.channels = channels
        policy = self.dtype_policy
        self.embed_time = TimestepEmbedding(
            time_channels, cosine_first=cosine_first, frequency_shift=frequency_shift, dtype=policy
        )
        self.embed_label = keras.layers.Embedding(
            num_classes + 1, channels, embeddings_initializer="zeros", dtype=policy
        )
        self.hidden = keras.layers.Dense(channels, activation="silu", dtype=policy)
        self.project = keras.layers.Dense(channels, dtype=policy)

    def build(self, timestep_shape: Shape, label_shape: Shape) -> None:
        batch = timestep_shape[0]
        self.embed_label.build(label_shape)
        self.hidden.build((batch, self.time_channels))
        self.project.build((batch, self.channels))

    def call(self, timestep: Tensor, label: Tensor) -> Tensor:
        time = self.project(self.hidden(self.embed_time(timestep)))
        return silu(time + self.embed_label(label))

    def compute_output_shape(self, timestep_shape: Shape, label_shape: Shape) -> Shape:
        return (timestep_shape[0], self.channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "time_channels": self.time_channels,
            "channels": self.channels,
            "cosine_first": self.embed_time.cosine_first,
            "frequency_shift": self.embed_time.frequency_shift,
        }


@_register
class PointwiseDense(keras.layers.Dense):
    """A Dense layer at each position of a map, computed as a convolution with a 1x1 kernel.

    The same arithmetic on the same weights, but an exported graph needs no change of layout for it.

    Args: those of `keras.layers.Dense`.

    Call: `[B, H, W, C]` ► `[B, H, W, units]`.
    """

    def call(self, inputs: Tensor) -> Tensor:
        x = _pointwise(inputs, self.kernel, self.bias if self.use_bias else 0.0)
        return x if self.activation is None else self.activation(x)


@_register
class ResidualBlock(keras.layers.Layer):
    """Residual block that is told the time and the label (Ho et al. 2020, appendix B).

    norm, SiLU, conv; plus the projected condition; norm, SiLU, dropout, conv; plus the raw input.

    Args:
        channels: int. Output channels; the shortcut is projected where the input's differ.
        dropout: float in [0, 1). Rate before the last convolution. Defaults to `0.0`.
        scale_shift: bool. The condition scales and shifts the second norm's result, in place of
            being added before it (AdaGN, Dhariwal & Nichol 2021). Defaults to `False`.
        norm: dict of arguments of `GroupNorm`; None for its defaults.

    Call: `[B, H, W, C]` map, `[B, E]` condition ► `[B, H, W, channels]`.
    """

    def __init__(
        self,
        channels: int,
        dropout: float = 0.0,
        scale_shift: bool = False,
        norm: dict[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.dropout = dropout
        self.scale_shift = scale_shift
        policy = self.dtype_policy
        self.norm_in = GroupNorm(**(norm or {}), dtype=policy)
        self.conv_in = keras.layers.Conv2D(channels, 3, padding="same", dtype=policy)
        self.project_condition = keras.layers.Dense(
            2 * channels if scale_shift else channels, dtype=policy
        )
        self.norm_out = GroupNorm(**(norm or {}), dtype=policy)
        self.drop = keras.layers.Dropout(dropout, dtype=policy)
        # Zero init: each block starts as the identity, as in DDPM.
        self.conv_out = keras.layers.Conv2D(
            channels, 3, padding="same", kernel_initializer="zeros", dtype=policy
        )
        self.shortcut = None

    def build(self, inputs_shape: Shape, condition_shape: Shape) -> None:
        output_shape = (*inputs_shape[:-1], self.channels)
        self.norm_in.build(inputs_shape)
        self.conv_in.build(inputs_shape)
        self.project_condition.build(condition_shape)
        self.norm_out.build(output_shape)
        self.conv_out.build(output_shape)
        if inputs_shape[-1] != self.channels:
            self.shortcut = PointwiseDense(self.channels, dtype=self.dtype_policy)
            self.shortcut.build(inputs_shape)

    def call(self, inputs: Tensor, condition: Tensor, training: bool | None = None) -> Tensor:
        x = self.conv_in(silu(self.norm_in(inputs)))
        told = {"modulation" if self.scale_shift else "shift": self.project_condition(condition)}
        x = self.norm_out(x, **told)
        x = self.drop(silu(x), training=training)
        residual = self.conv_out(x)
        return residual + (inputs if self.shortcut is None else self.shortcut(inputs))

    def compute_output_shape(self, inputs_shape: Shape, condition_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], self.channels)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "channels": self.channels,
            "dropout": self.dropout,
            "scale_shift": self.scale_shift,
            "norm": self.norm_in.arguments,
        }


@_register
class SelfAttention2D(keras.layers.Layer):
    """Self-attention over the H x W positions of a map (Vaswani et al. 2017; DDPM appendix B).

    Args:
        heads: int. Heads; must divide the channels. Defaults to DDPM's `1`.
        norm: dict of arguments of `GroupNorm`; None for its defaults, False for no norm.

    Call: `[B, H, W, C]` ► the same shape; own norm, and the raw input added back.

    Attributes:
        form: str, a key of `FORMS`. `"plain"` projects the map four times. `"folded"` does it
            twice where there is one head: a smaller graph to draw from, a costlier gradient.
            See `kdiffusion.networks.forms`.
    """

    FORMS: ClassVar = {"plain": "_plain", "folded": "_folded"}

    def __init__(
        self, heads: int = 1, norm: dict[str, Any] | Literal[False] | None = None, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.heads = heads
        self.form = "plain"
        self.norm = None
        if norm is not False:
            self.norm = GroupNorm(**(norm or {}), dtype=self.dtype_policy)

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if channels % self.heads:
            raise ValueError(
                f"`heads` must divide the channels of the input, {channels}. "
                f"Received: heads={self.heads}"
            )
        policy = self.dtype_policy
        self.query = keras.layers.Dense(channels, dtype=policy)
        self.key = keras.layers.Dense(channels, dtype=policy)
        self.value = keras.layers.Dense(channels, dtype=policy)
        # Zero init: attention starts as the identity.
        self.project = keras.layers.Dense(channels, kernel_initializer="zeros", dtype=policy)
        for layer in (self.norm, self.query, self.key, self.value, self.project):
            if layer is not None:
                layer.build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return getattr(self, self.FORMS[self.form])(inputs)

    def _plain(self, inputs):
        _, height, width, channels = inputs.shape
        positions, size = height * width, channels // self.heads
        normed = ops.reshape(self._normed(inputs), (-1, channels))  # [B HW, C]

        def split(x, axes=(0, 2, 1, 3)):
            x = ops.reshape(x, (-1, positions, self.heads, size))
            return ops.transpose(x, axes)

        query = split(self.query(normed) * size**-0.5)  # [B, heads, HW, size]
        key = split(self.key(normed), (0, 2, 3, 1))  # [B, heads, size, HW]
        value = split(self.value(normed))  # [B, heads, HW, size]
        scores = ops.cast(ops.matmul(query, key), "float32")  # [B, heads, HW, HW]
        weights = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)
        attended = ops.transpose(ops.matmul(weights, value), (0, 2, 1, 3))
        attended = ops.reshape(attended, (-1, channels))
        return inputs + ops.reshape(self.project(attended), (-1, height, width, channels))

    def _normed(self, inputs):
        return inputs if self.norm is None else self.norm(inputs)

    def _folded(self, inputs):
        """The same function from two projections of the map rather than four, with one head.

        Of (x Wq + bq)(y Wk + bk)', what is the same for every y doesn't change the softmax over
        y; (x Wq + bq) Wk' y' is left. And as the softmax's weights add up to 1, the last projection
        can do what Wv and bv do.
        """
        if self.heads > 1:
            return self._plain(inputs)
        _, height, width, channels = inputs.shape
        scale = channels**-0.5
        query_kernel = scale * ops.matmul(self.query.kernel, ops.transpose(self.key.kernel))
        query_bias = scale * ops.matmul(self.key.kernel, self.query.bias)
        output_kernel = ops.matmul(self.value.kernel, self.project.kernel)
        output_bias = ops.matmul(self.value.bias, self.project.kernel) + self.project.bias

        normed = self._normed(inputs)
        query = ops.reshape(
            _pointwise(normed, query_kernel, query_bias), (-1, height * width, channels)
        )
        # Channels first from the start: the layout of ONNX, where this transposition cancels out.
        key = ops.reshape(ops.transpose(normed, (0, 3, 1, 2)), (-1, channels, height * width))
        scores = ops.cast(ops.matmul(query, key), "float32")  # [B, HW, HW]
        weights = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)
        attended = ops.matmul(weights, ops.swapaxes(key, -1, -2))  # [B, HW, C]
        attended = ops.reshape(attended, (-1, height, width, channels))
        return inputs + _pointwise(attended, output_kernel, output_bias)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        norm = False if self.norm is None else self.norm.arguments
        return {**super().get_config(), "heads": self.heads, "norm": norm}
