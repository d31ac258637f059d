"""The denoising U-Net of DDPM (Ho et al. 2020, appendix B), conditioned on time and label."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
from keras import ops

from kdiffusion.checks import check_whole
from kdiffusion.networks.attention import SelfAttention2D
from kdiffusion.networks.blocks import (
    DepthToSpace,
    DownBlock,
    Downsample,
    SpaceToDepth,
    UpBlock,
    Upsample,
)
from kdiffusion.networks.embeddings import ConditionEmbedding
from kdiffusion.networks.normalisation import GroupNorm
from kdiffusion.networks.residual import ResidualBlock

if TYPE_CHECKING:
    from kdiffusion.networks.types import Tensor


@keras.saving.register_keras_serializable("kdiffusion")
class UNet(keras.Model):
    """U-Net that predicts from a noisy image, its timestep and its label.

    A functional graph inside a class: it is built, and its weights exist, when the constructor
    returns. Whether a level downsamples is decided by its place in `channel_multipliers`.

    Args:
        image_shape: (height, width, channels). Height and width must be divisible by
            `patch_size * 2 ** (levels - 1)`; 1 or 3 channels.
        num_classes: int. Real classes; label `num_classes` is the null label.
        base_channels: int. Channels at multiplier 1. Defaults to `64`.
        channel_multipliers: one int per level, from the finest. Defaults to `(1, 2, 2)`.
        blocks_per_level: int. Residual blocks of a level on the way down; one more on the way up.
            Defaults to `2`.
        attention_resolutions: heights of the maps, inside the network, whose blocks are followed by
            self-attention. Defaults to `(16,)`.
        attention_heads: int. Must divide the channels of each level that has attention, and of the
            last. Defaults to `1`.
        embedding_channels: int or None. Width of the condition; None for `4 * base_channels`.
        dropout: float in [0, 1). In every residual block. Defaults to `0.0`.
        scale_shift: bool. Time and label scale and shift the norms of the residual blocks (AdaGN,
            Dhariwal & Nichol 2021), in place of being added to their maps. Defaults to `False`.
        patch_size: int. Side of the pixel patches of a space-to-depth stem: 2 works on a quarter of
            the positions, at about a fifth of the cost. Defaults to `1`, no stem.
        dtype: a Keras dtype policy. The output is float32 under every policy.

    Call: `{"noisy_image": [B, H, W, C], "timestep": int [B], "label": int [B]}` ►
    float32 `[B, H, W, C]`.

    Raises:
        ValueError: an `image_shape` that the levels do not divide, `attention_heads` that do not
            divide the channels, or a value outside those given here.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        base_channels: int = 64,
        channel_multipliers: Sequence[int] = (1, 2, 2),
        blocks_per_level: int = 2,
        attention_resolutions: Collection[int] = (16,),
        attention_heads: int = 1,
        embedding_channels: int | None = None,
        dropout: float = 0.0,
        scale_shift: bool = False,
        patch_size: int = 1,
        dtype: Any | None = None,
        name: str | None = None,
    ):
        image_shape = tuple(image_shape)
        num_classes = check_whole("num_classes", num_classes)
        base_channels = check_whole("base_channels", base_channels, 2)
        if base_channels % 2:
            raise ValueError(
                "`base_channels` must be even, for the sines and cosines of the time. "
                f"Received: base_channels={base_channels}"
            )
        blocks_per_level = check_whole("blocks_per_level", blocks_per_level)
        channel_multipliers = check_multipliers(channel_multipliers)
        patch_size = check_whole("patch_size", patch_size)
        if not isinstance(attention_resolutions, Collection):
            raise ValueError(
                "`attention_resolutions` must be a collection of heights, such as (16,). "
                f"Received: attention_resolutions={attention_resolutions!r}"
            )
        attention_resolutions = tuple(
            check_whole("attention_resolutions", height) for height in attention_resolutions
        )
        check_image_shape(image_shape, patch_size, len(channel_multipliers))
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
        residual = {"dropout": dropout, "scale_shift": scale_shift, "dtype": policy}
        widths = [base_channels * multiplier for multiplier in channel_multipliers]
        heights = [image_shape[0] // patch_size // 2**level for level in range(len(widths))]
        attended = [
            width
            for width, height in zip(widths, heights, strict=True)
            if height in attention_resolutions
        ]
        attention_heads = check_divides("attention_heads", attention_heads, attended + widths[-1:])
        if embedding_channels is None:
            embedding_channels = 4 * base_channels
        embedding_channels = check_whole("embedding_channels", embedding_channels)

        def heads(level, feature_map):
            return attention_heads if feature_map.shape[1] in attention_resolutions else 0

        inputs = {
            "noisy_image": keras.Input(image_shape, dtype="float32", name="noisy_image"),
            "timestep": keras.Input((), dtype="int32", name="timestep"),
            "label": keras.Input((), dtype="int32", name="label"),
        }
        condition = ConditionEmbedding(
            num_classes,
            time_channels=base_channels,
            label_channels=base_channels,
            channels=embedding_channels,
            dtype=policy,
            name="condition",
        )(inputs["timestep"], inputs["label"])

        x = inputs["noisy_image"]
        if patch_size > 1:
            x = SpaceToDepth(patch_size, dtype=policy, name="stem")(x)
        x = keras.layers.Conv2D(widths[0], 3, padding="same", dtype=policy, name="conv_in")(x)

        x = down_and_up(x, condition, widths, blocks_per_level, heads, attention_heads, residual)
        x = ops.silu(GroupNorm(dtype=policy, name="norm_out")(x))
        # Zero init: the first prediction is zero, whatever the depth. float32: it is the result.
        x = keras.layers.Conv2D(
            image_shape[-1] * patch_size**2,
            3,
            padding="same",
            kernel_initializer="zeros",
            dtype="float32",
            name="conv_out",
        )(x)
        if patch_size > 1:
            x = DepthToSpace(patch_size, dtype="float32", name="unstem")(x)
        super().__init__(inputs=inputs, outputs=x, name=name or "unet")

        self._config = {
            "image_shape": image_shape,
            "num_classes": num_classes,
            "base_channels": base_channels,
            "channel_multipliers": channel_multipliers,
            "blocks_per_level": blocks_per_level,
            "attention_resolutions": attention_resolutions,
            "attention_heads": attention_heads,
            "embedding_channels": embedding_channels,
            "dropout": dropout,
            "scale_shift": scale_shift,
            "patch_size": patch_size,
            "dtype": policy.name,
            "name": self.name,
        }

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self._config["image_shape"]

    @property
    def num_classes(self) -> int:
        """Real classes; the null label is this number."""
        return self._config["num_classes"]

    def get_config(self) -> dict[str, Any]:
        return dict(self._config)

    @classmethod
    def from_config(cls, config: dict, custom_objects: dict | None = None) -> UNet:
        return cls(**config)


def down_and_up(
    x: Tensor,
    condition: Tensor,
    widths: Sequence[int],
    blocks_per_level: int,
    heads: Callable[[int, Tensor], int],
    middle_heads: int,
    residual: dict[str, Any],
    up_heads: Callable[[int, Tensor], int] | None = None,
    middle_norm: dict[str, Any] | Literal[False] | None = None,
    symmetric: bool = False,
) -> Tensor:
    """The two arms of a U-Net and what is between them, in layers named by their place.

    Args:
        x: `[B, H, W, widths[0]]` map.
        condition: `[B, E]`.
        widths: one int per level, from the finest: its channels.
        blocks_per_level: int. On the way down; one more on the way up.
        heads: function from (level, the map that a block is given) to the heads of the attention
            after it; 0 for none.
        middle_heads: int. Heads of the attention in the middle; 0 for none.
        residual: dict of arguments of the blocks, and the `dtype` of all layers.
        up_heads: as `heads`, on the way up; None for the same.
        middle_norm: `norm` of the attention in the middle, as of `SelfAttention2D`.
        symmetric: bool. As of `Downsample`.

    Returns:
        `[B, H, W, widths[0]]` map.
    """
    up_heads, policy = up_heads or heads, residual["dtype"]
    skips = [x]
    for level, width in enumerate(widths):
        for block in range(blocks_per_level):
            x = DownBlock(width, heads(level, x), **residual, name=f"down_{level}_block_{block}")(
                x, condition
            )
            skips.append(x)
        if level < len(widths) - 1:
            x = Downsample(width, symmetric, dtype=policy, name=f"down_{level}_downsample")(x)
            skips.append(x)

    x = ResidualBlock(widths[-1], **residual, name="middle_in")(x, condition)
    if middle_heads:
        x = SelfAttention2D(middle_heads, middle_norm, dtype=policy, name="middle_attention")(x)
    x = ResidualBlock(widths[-1], **residual, name="middle_out")(x, condition)

    for level, width in reversed(list(enumerate(widths))):
        for block in range(blocks_per_level + 1):
            x = UpBlock(width, up_heads(level, x), **residual, name=f"up_{level}_block_{block}")(
                x, skips.pop(), condition
            )
        if level > 0:
            x = Upsample(width, dtype=policy, name=f"up_{level}_upsample")(x)
    return x


def check_multipliers(channel_multipliers: Sequence[int]) -> tuple[int, ...]:
    """The widths of the levels as a tuple of int; refuses none, and what is no whole number."""
    is_list = isinstance(channel_multipliers, Sequence) and not isinstance(channel_multipliers, str)
    if not is_list or not channel_multipliers:
        raise ValueError(
            "`channel_multipliers` must hold a whole number for each level, at least one. "
            f"Received: channel_multipliers={channel_multipliers!r}"
        )
    return tuple(check_whole("channel_multipliers", each) for each in channel_multipliers)


def check_divides(name: str, value: int, widths: Sequence[int]) -> int:
    """A whole number that divides all the widths; `name` is the argument's."""
    value = check_whole(name, value)
    if any(width % value for width in widths):
        raise ValueError(f"`{name}` must divide the widths {widths}. Received: {name}={value}")
    return value


def check_image_shape(image_shape: tuple[int, ...], patch_size: int, levels: int) -> None:
    """Refuses a size that the levels do not divide, or another number of channels than 1 or 3."""
    if len(image_shape) != 3 or image_shape[-1] not in (1, 3):
        raise ValueError(
            "`image_shape` must be (height, width, channels) with 1 or 3 channels. "
            f"Received: image_shape={image_shape}"
        )
    factor = patch_size * 2 ** (levels - 1)
    if any(side <= 0 or side % factor for side in image_shape[:2]):
        stem = "" if patch_size == 1 else f" times the stem's patch of {patch_size}"
        raise ValueError(
            f"`image_shape` height and width must be divisible by {factor} (one halving per level "
            f"after the first{stem}; {math.log2(factor):.0f} halvings in all). "
            f"Received: image_shape={image_shape}"
        )
