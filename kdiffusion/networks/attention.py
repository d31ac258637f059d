"""Self-attention over a map, in forms that compute the same."""

from typing import Any

import keras
from keras import ops

from kdiffusion.networks.layers import GroupNorm, Shape, Tensor, pointwise


@keras.saving.register_keras_serializable("kdiffusion")
class SelfAttention2D(keras.layers.Layer):
    """Self-attention over the H x W positions of a map (Vaswani et al. 2017; DDPM appendix B).

    Args:
        heads: int. Heads; must divide the channels. Defaults to DDPM's `1`.

    Call: `[B, H, W, C]` ► the same shape; own norm, and the raw input added back.

    Attributes:
        folded: bool, False at first. Whether one head projects the map twice instead of four times:
            a smaller graph to sample from, a costlier gradient.
    """

    def __init__(self, heads: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads
        self.folded = False
        self.norm = GroupNorm(dtype=self.dtype_policy.name, name="norm")

    def build(self, input_shape: Shape) -> None:
        channels = input_shape[-1]
        if channels % self.heads:  # the reshape would mix the images of a batch
            raise ValueError(
                f"`heads` must divide the {channels} channels. Received: heads={self.heads}"
            )
        policy = self.dtype_policy.name
        self.query = keras.layers.Dense(channels, dtype=policy, name="query")
        self.key = keras.layers.Dense(channels, dtype=policy, name="key")
        self.value = keras.layers.Dense(channels, dtype=policy, name="value")
        # Zero init: attention starts as the identity.
        self.project = keras.layers.Dense(
            channels, kernel_initializer="zeros", dtype=policy, name="project"
        )
        for layer in (self.norm, self.query, self.key, self.value, self.project):
            layer.build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        return self._folded(inputs) if self.folded and self.heads == 1 else self._plain(inputs)

    def _plain(self, inputs):
        _, height, width, channels = inputs.shape
        positions, size = height * width, channels // self.heads
        normed = ops.reshape(self.norm(inputs), (-1, channels))  # [B HW, C]

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

    def _folded(self, inputs):
        """The same function from two projections of the map rather than four, with one head.

        Of (x Wq + bq)(y Wk + bk)', what is the same for every y doesn't change the softmax over
        y; (x Wq + bq) Wk' y' is left. And as the softmax's weights add up to 1, the last projection
        can do what Wv and bv do.
        """
        _, height, width, channels = inputs.shape
        scale = channels**-0.5
        query_kernel = scale * ops.matmul(self.query.kernel, ops.transpose(self.key.kernel))
        query_bias = scale * ops.matmul(self.key.kernel, self.query.bias)
        output_kernel = ops.matmul(self.value.kernel, self.project.kernel)
        output_bias = ops.matmul(self.value.bias, self.project.kernel) + self.project.bias

        normed = self.norm(inputs)
        query = ops.reshape(
            pointwise(normed, query_kernel, query_bias), (-1, height * width, channels)
        )
        # Channels first from the start: the layout of ONNX, where this transposition cancels out.
        key = ops.reshape(ops.transpose(normed, (0, 3, 1, 2)), (-1, channels, height * width))
        scores = ops.cast(ops.matmul(query, key), "float32")  # [B, HW, HW]
        weights = ops.cast(ops.softmax(scores, axis=-1), self.compute_dtype)
        attended = ops.matmul(weights, ops.swapaxes(key, -1, -2))  # [B, HW, C]
        attended = ops.reshape(attended, (-1, height, width, channels))
        return inputs + pointwise(attended, output_kernel, output_bias)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape
