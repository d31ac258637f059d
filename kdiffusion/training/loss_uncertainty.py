"""A learnt weight for each noise level: what its loss is found to be (Karras et al. 2024, EDM2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

if TYPE_CHECKING:
    import tensorflow as tf

    from kdiffusion.diffusion.forward_process import NoiseSchedule

CHANNELS = 128  # Fourier features of ln sigma, as in the official code


class LossUncertainty(keras.layers.Layer):
    """u(sigma), with which a loss L counts as L / exp(u) + u (Karras et al. 2024, eq. 14-15).

    The best u is the logarithm of the level's mean loss, so that every noise level pulls at the
    network alike, however large its error is. One linear map of fixed Fourier features of ln sigma;
    it is not part of the network, and is not exported.

    Args:
        schedule: `NoiseSchedule`, which gives each timestep its sigma.
    """

    def __init__(self, schedule: NoiseSchedule):
        super().__init__(dtype="float32", name="loss_uncertainty")
        rng = np.random.default_rng(0)  # saved files rely on it: they don't hold the features
        frequencies, phases = rng.normal(size=CHANNELS), rng.uniform(size=CHANNELS)
        # 20 in place of infinity, with which a schedule of zero terminal SNR ends.
        level = np.minimum(np.log(schedule.noise_levels), 20.0) / 4.0  # [T]
        waves = np.cos(2 * np.pi * (level[:, None] * frequencies + phases)) * np.sqrt(2.0)
        self._features = waves.astype("float32")  # [T, CHANNELS]
        # Zero: every level begins with the weight 1.
        self.kernel = self.add_weight((CHANNELS,), "zeros", name="kernel")
        self.bias = self.add_weight((), "zeros", name="bias")
        self.built = True

    def call(self, timesteps: Any) -> Any:
        """float32 `[B]`: u of timesteps int `[B]`."""
        features = ops.take(self._features, timesteps, axis=0)  # [B, CHANNELS]
        return ops.matmul(features, self.kernel) / CHANNELS**0.5 + self.bias

    def weighted(self, losses: tf.Tensor, timesteps: tf.Tensor) -> tf.Tensor:
        """float32 `[B]`: L / exp(u) + u for losses `[B]` of timesteps `[B]`."""
        uncertainty = self(timesteps)
        return losses * ops.exp(-uncertainty) + uncertainty
