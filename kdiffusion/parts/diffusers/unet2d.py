"""The U-Net of diffusers, `UNet2DModel`, from the same blocks as `UNet`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import SimpleNamespace
from typing import Any

import keras

from kdiffusion.networks import layers_in
from kdiffusion.networks.attention import SelfAttention2D
from kdiffusion.networks.blocks import DownBlock, ResidualBlock, UpBlock
from kdiffusion.networks.layers import Downsample, GroupNorm, Upsample
from kdiffusion.networks.unet import check_image_shape, contract_inputs, prediction

from .layers import AddedConditionEmbedding, PaddedDownsample


@keras.saving.register_keras_serializable("kdiffusion")
class UNet2D(keras.Model):
    """U-Net that holds the weights of diffusers' `UNet2DModel`, and predicts what it predicts.

    With the defaults it is DDPM's network for CIFAR-10. It differs from `UNet` in its condition, to
    which a label is added after the MLP, and in what it leaves to choose. Where both have a weight,
    its name is the same.

    Args:
        image_shape: (height, width, channels). Height and width must be divisible by
            `2 ** (levels - 1)`; 1 or 3 channels.
        num_classes: int. Real classes; label `num_classes` is the null label.
        widths: one int per level, from the finest: its channels.
        blocks_per_level: int. Residual blocks of a level on the way down; one more on the way up.
            Defaults to `2`.
        down_attention: one bool per level, from the finest: whether self-attention follows its
            blocks on the way down.
        up_attention: the same, on the way up; from the finest too.
        middle_attention: bool. Whether there is self-attention in the middle. Defaults to `True`.
        head_channels: int. Channels of an attention head; None for one head of them all.
        norm_groups: int. Groups of each norm; must divide all widths. Defaults to `32`.
        norm_epsilon: float. Added to variances. Defaults to `1e-6`.
        symmetric_padding: bool. Whether the map is halved by `PaddedDownsample`. Defaults to
            `False`.
        cosine_first, frequency_shift: as in `AddedConditionEmbedding`.
        dropout: float in [0, 1). In every residual block. Defaults to `0.0`.
        scale_shift: bool. As in `UNet`; and no norm precedes the attention in the middle. Defaults
            to `False`.
        dtype: a Keras dtype policy. The output is float32 under every policy.

    Call: `{"noisy_image": [B, H, W, C], "timestep": int [B], "label": int [B]}` ►
    float32 `[B, H, W, C]`.

    Raises:
        ValueError: an `image_shape` that the levels do not divide.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        num_classes: int,
        widths: Sequence[int] = (128, 256, 256, 256),
        blocks_per_level: int = 2,
        down_attention: Sequence[bool] = (False, True, False, False),
        up_attention: Sequence[bool] = (False, True, False, False),
        middle_attention: bool = True,
        head_channels: int | None = None,
        norm_groups: int = 32,
        norm_epsilon: float = 1e-6,
        symmetric_padding: bool = False,
        cosine_first: bool = False,
        frequency_shift: int = 1,
        dropout: float = 0.0,
        scale_shift: bool = False,
        dtype: Any | None = None,
        name: str | None = None,
    ):
        image_shape, num_classes, widths = tuple(image_shape), int(num_classes), tuple(widths)
        down_attention, up_attention = tuple(down_attention), tuple(up_attention)
        arguments = {k: v for k, v in dict(locals()).items() if k not in ("self", "__class__")}
        check_image_shape(image_shape, 1, len(widths))
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy()).name
        inputs = contract_inputs(image_shape)
        condition = AddedConditionEmbedding(
            num_classes, widths[0], 4 * widths[0], cosine_first, frequency_shift,
            dtype=policy, name="condition",
        )(inputs["timestep"], inputs["label"])  # fmt: skip
        conv_in = keras.layers.Conv2D(widths[0], 3, padding="same", dtype=policy, name="conv_in")
        x = conv_in(inputs["noisy_image"])
        x = _down_and_up(x, condition, policy, SimpleNamespace(**arguments))
        x = GroupNorm(norm_groups, norm_epsilon, 1, dtype=policy, name="norm_out")(x)
        x = prediction(x, image_shape[-1])
        super().__init__(inputs=inputs, outputs=x, name=name or "unet2d")

        self.image_shape, self.num_classes = image_shape, num_classes
        self._config = {**arguments, "dtype": policy, "name": self.name}

    @classmethod
    def from_settings(
        cls,
        image_shape: Sequence[int],
        num_classes: int,
        base_channels: int,
        channel_multipliers: Sequence[int],
        attention_resolutions: Collection[int],
        attention_heads: int,
        patch_size: int,
        **own: Any,
    ) -> UNet2D:
        """The network of a run's settings, which are the arguments of `UNet`.

        Args:
            image_shape, ..., patch_size: as in `UNet`.
            **own: arguments of this class, which go before them.

        Raises:
            ValueError: settings that this network has no place for.
        """
        if patch_size != 1 or attention_heads != 1:
            raise ValueError(
                "`patch_size` and `attention_heads` must be 1: unet2d has no stem, and heads of "
                f"`head_channels`. Received: {patch_size} and {attention_heads}"
            )
        heights = [image_shape[0] // 2**level for level in range(len(channel_multipliers))]
        attention = tuple(height in attention_resolutions for height in heights)
        widths = tuple(base_channels * each for each in channel_multipliers)
        settings = {"widths": widths, "down_attention": attention, "up_attention": attention}
        return cls(image_shape, num_classes, **{**settings, **own})

    def get_config(self) -> dict[str, Any]:
        return dict(self._config)


def _down_and_up(x, condition, policy, settings):
    """As that of `UNet`, with the arguments of `UNet2D`."""
    widths, size, skips = settings.widths, settings.head_channels, [x]
    heads = [1 if size is None else width // size for width in widths]
    residual = {"dropout": settings.dropout, "scale_shift": settings.scale_shift, "dtype": policy}
    norm = (settings.norm_groups, settings.norm_epsilon)
    downsample = PaddedDownsample if settings.symmetric_padding else Downsample

    def block(kind, level, name, *heads):
        return _normed(kind(widths[level], *heads, **residual, name=name), *norm)(x, condition)

    for level, width in enumerate(widths):
        for number in range(settings.blocks_per_level):
            heads_here = heads[level] * settings.down_attention[level]
            x = block(DownBlock, level, f"down_{level}_block_{number}", heads_here)
            skips.append(x)
        if level < len(widths) - 1:
            x = downsample(width, dtype=policy, name=f"down_{level}_downsample")(x)
            skips.append(x)

    x = block(ResidualBlock, -1, "middle_in")
    if settings.middle_attention:
        attention = SelfAttention2D(heads[-1], dtype=policy, name="middle_attention")
        if settings.scale_shift:  # theirs has none there then
            attention.norm = keras.layers.Identity(name="identity")
        x = _normed(attention, *norm)(x)
    x = block(ResidualBlock, -1, "middle_out")

    for level, width in reversed(list(enumerate(widths))):
        for number in range(settings.blocks_per_level + 1):
            name = f"up_{level}_block_{number}"
            join = keras.layers.Concatenate(dtype=policy, name=f"{name}_concatenate")
            x = join([x, skips.pop()])  # [B, H, W, C + skip]
            x = block(UpBlock, level, name, heads[level] * settings.up_attention[level])
        if level > 0:
            x = Upsample(width, dtype=policy, name=f"up_{level}_upsample")(x)
    return x


def _normed(layer, groups, epsilon):
    """A layer that isn't built yet, all norms in it with other settings than DDPM's."""
    for each in layers_in(layer):
        if isinstance(each, GroupNorm):
            each.groups, each.epsilon, each.min_group_channels = groups, epsilon, 1
    return layer
