"""The condition of a network: embeddings of the timestep and the label."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from kdiffusion.networks.layers import Shape, Tensor

MAX_PERIOD = 10_000.0  # timesteps (times 2 pi) after which the slowest wave repeats


@keras.saving.register_keras_serializable("kdiffusion")
class TimestepEmbedding(keras.layers.Layer):
    """Sinusoidal embedding of the timestep (Vaswani et al. 2017, section 3.5, as DDPM uses it).

    Args:
        channels: int, even. Half of them are sines, half cosines.

    Call: int `[B]` timesteps ► `[B, channels]`.
    """

    def __init__(self, channels: int, **kwargs: Any):
        super().__init__(**kwargs)
        half = channels // 2
        frequencies = np.exp(-math.log(MAX_PERIOD) * np.arange(half) / max(half - 1, 1))
        self._frequencies = frequencies.astype("float32")

    def call(self, timestep: Tensor) -> Tensor:
        # float32 even under a half-precision policy: bfloat16 cannot tell t = 998 from t = 999.
        angles = ops.cast(timestep, "float32")[:, None] * self._frequencies  # [B, channels / 2]
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
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
