"""What the U-Net is stacked from: residual blocks, and self-attention after them."""

from typing import Any

import keras

from kdiffusion.networks.attention import SelfAttention2D
from kdiffusion.networks.layers import GroupNorm, PointwiseDense, Shape, Tensor, silu


@keras.saving.register_keras_serializable("kdiffusion")
class ResidualBlock(keras.layers.Layer):
    """Residual block, conditioned on time and label (Ho et al. 2020, appendix B).

    norm, SiLU, conv; plus the projected condition; norm, SiLU, dropout, conv; plus the raw input.

    Args:
        channels: int. Output channels; the shortcut is projected where the input's differ.
        dropout: float in [0, 1). Rate before the last convolution. Defaults to `0.0`.
        scale_shift: bool. The condition scales and shifts the second norm's result, in place of
            being added before it (AdaGN, Dhariwal & Nichol 2021). Defaults to `False`.

    Call: `[B, H, W, C]` map, `[B, E]` condition ► `[B, H, W, channels]`.
    """

    def __init__(
        self, channels: int, dropout: float = 0.0, scale_shift: bool = False, **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.scale_shift = scale_shift
        policy = self.dtype_policy.name
        self.norm_in = GroupNorm(dtype=policy, name="norm_in")
        self.conv_in = keras.layers.Conv2D(
            channels, 3, padding="same", dtype=policy, name="conv_in"
        )
        self.project_condition = keras.layers.Dense(
            2 * channels if scale_shift else channels, dtype=policy, name="project_condition"
        )
        self.norm_out = GroupNorm(dtype=policy, name="norm_out")
        self.drop = keras.layers.Dropout(dropout, dtype=policy, name="drop")
        # Zero init: each block starts as the identity, as in DDPM.
        self.conv_out = keras.layers.Conv2D(
            channels, 3, padding="same", kernel_initializer="zeros", dtype=policy, name="conv_out"
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
            self.shortcut = PointwiseDense(
                self.channels, dtype=self.dtype_policy.name, name="shortcut"
            )
            self.shortcut.build(inputs_shape)

    def call(self, inputs: Tensor, condition: Tensor, training: bool | None = None) -> Tensor:
        x = self.conv_in(silu(self.norm_in(inputs)))
        # A shift is added before the norm, as DDPM does; a modulation acts after it.
        conditioning = {
            "modulation" if self.scale_shift else "shift": self.project_condition(condition)
        }
        x = self.drop(silu(self.norm_out(x, **conditioning)), training=training)
        residual = self.conv_out(x)
        return residual + (inputs if self.shortcut is None else self.shortcut(inputs))

    def compute_output_shape(self, inputs_shape: Shape, condition_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], self.channels)


@keras.saving.register_keras_serializable("kdiffusion")
class DownBlock(keras.layers.Layer):
    """A residual block and, where asked for, self-attention after it.

    Args:
        channels: int. Output channels.
        attention_heads: int. Heads of the self-attention after it; 0 for none. Defaults to `0`.
        dropout: float in [0, 1). Defaults to `0.0`.
        scale_shift: bool. See `ResidualBlock`. Defaults to `False`.

    Call: `[B, H, W, C]` map, `[B, E]` condition ► `[B, H, W, channels]`.
    """

    def __init__(
        self,
        channels: int,
        attention_heads: int = 0,
        dropout: float = 0.0,
        scale_shift: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.residual = ResidualBlock(
            channels, dropout, scale_shift, dtype=self.dtype_policy.name, name="residual"
        )
        self.attention = None
        if attention_heads:
            self.attention = SelfAttention2D(
                attention_heads, dtype=self.dtype_policy.name, name="attention"
            )

    def build(self, inputs_shape: Shape, condition_shape: Shape) -> None:
        self.residual.build(inputs_shape, condition_shape)
        if self.attention is not None:
            self.attention.build((*inputs_shape[:-1], self.channels))

    def call(self, inputs: Tensor, condition: Tensor, training: bool | None = None) -> Tensor:
        x = self.residual(inputs, condition, training=training)
        return x if self.attention is None else self.attention(x)

    def compute_output_shape(self, inputs_shape: Shape, condition_shape: Shape) -> Shape:
        return (*inputs_shape[:-1], self.channels)


@keras.saving.register_keras_serializable("kdiffusion")
class UpBlock(DownBlock):
    """A `DownBlock` on the way up, where its input holds the skip too: saved under its own name."""
