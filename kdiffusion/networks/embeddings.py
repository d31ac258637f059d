"""The condition of a network: embeddings of the timestep and the label."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kdiffusion.networks.layers import Shape, Tensor, silu

MAX_PERIOD = 10_000.0  # timesteps (times 2 pi) after which the slowest wave repeats


@keras.saving.register_keras_serializable("kdiffusion")
class TimestepEmbedding(keras.layers.Layer):
    """Sinusoidal embedding of the timestep (Vaswani et al. 2017, section 3.5, as DDPM uses it).

    Args:
        channels: int, even. Half of them are sines, half cosines.
        cosine_first: bool. Cosines before sines. Defaults to DDPM's `False`.
        frequency_shift: int. The periods are spread over half the channels less this many: 1, and
            the slowest wave has `MAX_PERIOD`. Defaults to DDPM's `1`.

    Call: int `[B]` timesteps ► `[B, channels]`.
    """

    def __init__(
        self,
        channels: int,
        cosine_first: bool = False,
        frequency_shift: int = 1,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.cosine_first = cosine_first
        half = channels // 2
        spread = max(half - frequency_shift, 1)
        frequencies = np.exp(-math.log(MAX_PERIOD) * np.arange(half) / spread)
        self._frequencies = frequencies.astype("float32")

    def call(self, timestep: Tensor) -> Tensor:
        # float32 even under a half-precision policy: bfloat16 cannot tell t = 998 from t = 999.
        angles = ops.cast(timestep, "float32")[:, None] * self._frequencies  # [B, channels / 2]
        waves = [ops.sin(angles), ops.cos(angles)]
        waves = ops.concatenate(waves[::-1] if self.cosine_first else waves, axis=-1)
        return ops.cast(waves, self.compute_dtype)


@keras.saving.register_keras_serializable("kdiffusion")
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
        self.time_channels = time_channels
        self.label_channels = label_channels
        self.channels = channels
        self.embed_time = TimestepEmbedding(
            time_channels, dtype=self.dtype_policy.name, name="embed_time"
        )
        # As strong as the sines of the time, whose RMS is sqrt(1/2): Keras starts an embedding at
        # 0.03, where the label hardly counts until it has grown (EDM, too, scales labels up).
        self.embed_label = keras.layers.Embedding(
            num_classes + 1,
            label_channels,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.5**0.5),
            dtype=self.dtype_policy.name,
            name="embed_label",
        )
        dense = {"activation": "silu", "dtype": self.dtype_policy.name}
        self.hidden = keras.layers.Dense(channels, **dense, name="hidden")
        self.project = keras.layers.Dense(channels, **dense, name="project")

    def build(self, timestep_shape: Shape, label_shape: Shape) -> None:
        batch = timestep_shape[0]
        self.embed_label.build(label_shape)
        self.hidden.build((batch, self.time_channels + self.label_channels))
        self.project.build((batch, self.channels))

    def call(self, timestep: Tensor, label: Tensor) -> Tensor:
        both = ops.concatenate([self.embed_time(timestep), self.embed_label(label)], axis=-1)
        return self.project(self.hidden(both))


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
        cosine_first, frequency_shift: as in `TimestepEmbedding`.

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
        policy = self.dtype_policy.name
        self.embed_time = TimestepEmbedding(
            time_channels, cosine_first=cosine_first, frequency_shift=frequency_shift, dtype=policy,
            name="embed_time",
        )  # fmt: skip
        self.embed_label = keras.layers.Embedding(
            num_classes + 1,
            channels,
            embeddings_initializer="zeros",
            dtype=policy,
            name="embed_label",
        )
        self.hidden = keras.layers.Dense(channels, activation="silu", dtype=policy, name="hidden")
        self.project = keras.layers.Dense(channels, dtype=policy, name="project")

    def build(self, timestep_shape: Shape, label_shape: Shape) -> None:
        batch = timestep_shape[0]
        self.embed_label.build(label_shape)
        self.hidden.build((batch, self.time_channels))
        self.project.build((batch, self.channels))

    def call(self, timestep: Tensor, label: Tensor) -> Tensor:
        time = self.project(self.hidden(self.embed_time(timestep)))
        return silu(time + self.embed_label(label))
