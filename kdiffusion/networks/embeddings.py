"""The condition of a network: embeddings of the timestep, the label and numbers."""

import math
from collections.abc import Sequence
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
class NumbersEmbedding(keras.layers.Layer):
    """Numbers such as an angle and an age as one vector: standardised, through a two-layer MLP.

    Args:
        standardisation: `[K]` pairs (mean, standard deviation), in the numbers' own units.
        channels: int. Width of the result.

    Call: float32 `[B, K]` ► `[B, channels]`. A row with NaN, which stands for "no numbers given",
    becomes one learnt vector.
    """

    def __init__(self, standardisation: Sequence[Sequence[float]], channels: int, **kwargs: Any):
        super().__init__(**kwargs)
        self._mean, self._std = np.array(standardisation, "float32").T
        # float32 even under a half-precision policy: bfloat16 has two or three digits.
        self.hidden = keras.layers.Dense(
            channels, activation="silu", dtype="float32", name="hidden"
        )
        self.project = keras.layers.Dense(channels, dtype="float32", name="project")
        self.null = self.add_weight((channels,), "zeros", dtype="float32", name="null")

    def build(self, input_shape: Shape) -> None:
        self.hidden.build(input_shape)
        self.project.build((input_shape[0], self.hidden.units))

    def call(self, numbers: Tensor) -> Tensor:
        is_nan = ops.isnan(numbers)
        # By `is_nan` itself: under any other condition, the converter to ONNX would multiply the
        # NaN by 0, which is NaN.
        standard = (ops.where(is_nan, self._mean, numbers) - self._mean) / self._std
        missing = ops.any(is_nan, axis=-1, keepdims=True)  # [B, 1]
        vector = ops.where(missing, self.null, self.project(self.hidden(standard)))
        return ops.cast(vector, self.compute_dtype)


@keras.saving.register_keras_serializable("kdiffusion")
class ConditionEmbedding(keras.layers.Layer):
    """Time and label as one vector: their embeddings, concatenated, through a two-layer MLP.

    An embedding of numbers, if there are any, is added between its two layers.

    The label table has `num_classes + 1` rows; the last one is the null label of classifier-free
    guidance (Ho & Salimans 2022), which stands for "no label given".

    Args:
        num_classes: int. Real classes; the null label is `num_classes`.
        time_channels: int. Width of the sinusoidal embedding of the timestep.
        label_channels: int. Width of the label's embedding.
        channels: int. Width of the result.
        numbers: `[K]` pairs, as for `NumbersEmbedding`; none by default.

    Call: int `[B]` timesteps, int `[B]` labels, float32 `[B, K]` numbers if there are any ►
    `[B, channels]`, after the last SiLU, so that a block only has to project it.
    """

    def __init__(
        self,
        num_classes: int,
        time_channels: int,
        label_channels: int,
        channels: int,
        numbers: Sequence[Sequence[float]] = (),
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
        self.embed_numbers = None
        if numbers:
            self.embed_numbers = NumbersEmbedding(
                numbers, channels, dtype=self.dtype_policy.name, name="embed_numbers"
            )

    def build(
        self, timestep_shape: Shape, label_shape: Shape, numbers_shape: Shape | None = None
    ) -> None:
        batch = timestep_shape[0]
        self.embed_label.build(label_shape)
        self.hidden.build((batch, self.time_channels + self.label_channels))
        self.project.build((batch, self.channels))
        if self.embed_numbers is not None and numbers_shape is not None:
            self.embed_numbers.build(numbers_shape)

    def call(self, timestep: Tensor, label: Tensor, numbers: Tensor | None = None) -> Tensor:
        both = ops.concatenate([self.embed_time(timestep), self.embed_label(label)], axis=-1)
        hidden = self.hidden(both)
        if self.embed_numbers is not None:
            hidden = hidden + self.embed_numbers(numbers)
        return self.project(hidden)
