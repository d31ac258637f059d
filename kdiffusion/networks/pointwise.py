"""What is dense at each position of a map, as a convolution with a 1x1 kernel.

The same arithmetic on the same weights, but an exported graph needs no change of layout for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    from kdiffusion.networks.types import Tensor


def pointwise(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`[B, H, W, C]`, `[C, D]`, `[D]` ► `[B, H, W, D]`."""
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
