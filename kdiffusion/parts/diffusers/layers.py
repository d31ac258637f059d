"""The layers of `UNet2D` that `UNet` doesn't have: its condition, and PyTorch's padding."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kdiffusion.networks.embeddings import MAX_PERIOD
from kdiffusion.networks.layers import Downsample, Shape, Tensor, silu


@keras.saving.register_keras_serializable("kdiffusion")
class AddedConditionEmbedding(keras.layers.Layer):
    """Time and label as one vector: the time through a two-layer MLP, plus a row for the label.

    As in guided-diffusion and diffusers' `UNet2DModel`. The table's last row is that of the null
    label, as in `ConditionEmbedding`. All rows start at zero: a network that was trained without
    labels predicts what it did before, whatever the label.

    Args:
        num_classes: int. Real classes; the null label is `num_classes`.
        time_channels: int. Width of the sinusoidal embedding of the timestep.
        channels: int. Width of the result, and of the label's rows.
        cosine_first: bool. Cosines before sines. Defaults to `False`, as in `TimestepEmbedding`.
        frequency_shift: int. The periods are spread over half the channels less this many: 1, and
            the slowest wave has `MAX_PERIOD`, as in `TimestepEmbedding`. Defaults to `1`.

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
        self.time_channels = time_channels
        self.channels = channels
        self.cosine_first = cosine_first
        half = time_channels // 2
        spread = max(half - frequency_shift, 1)
        frequencies = np.exp(-math.log(MAX_PERIOD) * np.arange(half) / spread)
        self._frequencies = frequencies.astype("float32")
        policy = self.dtype_policy.name
        self.embed_label = keras.layers.Embedding(
            num_classes + 1, channels, embeddings_initializer="zeros", dtype=policy,
            name="embed_label",
        )  # fmt: skip
        self.hidden = keras.layers.Dense(channels, activation="silu", dtype=policy, name="hidden")
        self.project = keras.layers.Dense(channels, dtype=policy, name="project")

    def build(self, timestep_shape: Shape, label_shape: Shape) -> None:
        batch = timestep_shape[0]
        self.embed_label.build(label_shape)
        self.hidden.build((batch, self.time_channels))
        self.project.build((batch, self.channels))

    def call(self, timestep: Tensor, label: Tensor) -> Tensor:
        angles = ops.cast(timestep, "float32")[:, None] * self._frequencies  # [B, channels / 2]
        waves = [ops.sin(angles), ops.cos(angles)]
        waves = ops.concatenate(waves[::-1] if self.cosine_first else waves, axis=-1)
        time = self.project(self.hidden(ops.cast(waves, self.compute_dtype)))
        return silu(time + self.embed_label(label))


@keras.saving.register_keras_serializable("kdiffusion")
class PaddedDownsample(Downsample):
    """A `Downsample` with a row of zeros on each side, as PyTorch pads.

    `Downsample` itself has it below and on the right alone, as TensorFlow and so DDPM do.
    """

    def build(self, input_shape: Shape) -> None:
        batch, height, width, channels = input_shape
        self.conv.padding = "valid"
        super().build((batch, height + 2, width + 2, channels))

    def call(self, inputs: Tensor) -> Tensor:
        return super().call(ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0))))
