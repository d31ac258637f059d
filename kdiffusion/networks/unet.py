"""The denoising U-Net of DDPM (Ho et al. 2020, appendix B) and its conditions."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from kdiffusion.networks.attention import SelfAttention2D
from kdiffusion.networks.blocks import DownBlock, ResidualBlock, UpBlock
from kdiffusion.networks.embeddings import ConditionEmbedding
from kdiffusion.networks.layers import Downsample, GroupNorm, Tensor, Upsample


@keras.saving.register_keras_serializable("kdiffusion")
class UNet(keras.Model):
    """U-Net that predicts from a noisy image, its timestep and its conditions: a label, and more.

    A functional graph inside a class: it is built, and its weights exist, when the constructor
    returns. Whether a level downsamples is decided by its place in `channel_multipliers`.

    Args:
        image_shape: (height, width, channels). Height and width must be divisible by
            `patch_size * 2 ** (levels - 1)`; 1 or 3 channels.
        num_classes: int. Real classes; label `num_classes` is the null label. 0 of a model without
            classes, whose label is always 0.
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
        numbers: names of K numbers that it is conditioned on, or a dict from name to (mean,
            standard deviation), by which they are standardised. Defaults to none.
        image_channels: int. Channels of an image that it is conditioned on, which has the height
            and width of the result and is concatenated with x_t (SR3, Saharia et al. 2021).
            Defaults to `0`, no image.
        dtype: a Keras dtype policy. The output is float32 under every policy.

    Call: `{"noisy_image": [B, H, W, C], "timestep": int [B], "label": int [B]}`, and, where it is
    conditioned on them, `"numbers": [B, K]` in their own units, `"image": [B, H, W, C']` ► float32
    `[B, H, W, C]`. No condition is the null label, NaN for numbers, zeros for an image.

    Raises:
        ValueError: an `image_shape` that the levels do not divide.
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
        numbers: Mapping[str, Sequence[float]] | Collection[str] = (),
        image_channels: int = 0,
        dtype: Any | None = None,
        name: str | None = None,
    ):
        image_shape, num_classes = tuple(image_shape), int(num_classes)
        numbers = _standardisation(numbers)
        channel_multipliers = tuple(channel_multipliers)
        attention_resolutions = tuple(attention_resolutions)
        arguments = {k: v for k, v in dict(locals()).items() if k not in ("self", "__class__")}
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy()).name
        residual = {"dropout": dropout, "scale_shift": scale_shift, "dtype": policy}
        widths = [base_channels * multiplier for multiplier in channel_multipliers]
        check_image_shape(image_shape, patch_size, len(widths))
        inputs = contract_inputs(image_shape, len(numbers), image_channels)
        channels = (base_channels, base_channels, embedding_channels or 4 * base_channels)
        given = (num_classes, *channels, tuple(numbers.values()))
        embedding = ConditionEmbedding(*given, dtype=policy, name="condition")
        condition = embedding(inputs["timestep"], inputs["label"], inputs.get("numbers"))
        x = _stem(inputs, patch_size, widths[0], policy)
        blocks = (widths, blocks_per_level, attention_resolutions, attention_heads, residual)
        x = _down_and_up(x, condition, *blocks)
        x = prediction(GroupNorm(dtype=policy, name="norm_out")(x), image_shape[-1] * patch_size**2)
        super().__init__(inputs=inputs, outputs=_to_pixels(x, patch_size), name=name or "unet")

        self.image_shape, self.num_classes = image_shape, num_classes
        self.numbers, self.image_channels = numbers, image_channels
        self._config = {**arguments, "dtype": policy, "name": self.name}

    def get_config(self) -> dict[str, Any]:
        return dict(self._config)


def _standardisation(numbers):
    """Name ► (mean, standard deviation), of such a dict or of names alone."""
    if not isinstance(numbers, Mapping):
        return dict.fromkeys(numbers, (0.0, 1.0))
    return {name: tuple(pair) for name, pair in numbers.items()}


def _stem(inputs, patch_size, channels, policy):
    """Features of x_t, and of the image that it is conditioned on, in patches."""
    x = inputs["noisy_image"]
    if "image" in inputs:
        x = ops.concatenate([x, inputs["image"]], axis=-1)
    if patch_size > 1:
        x = ops.space_to_depth(x, patch_size)
    return keras.layers.Conv2D(channels, 3, padding="same", dtype=policy, name="conv_in")(x)


def _to_pixels(patches, patch_size):
    return ops.depth_to_space(patches, patch_size) if patch_size > 1 else patches


def contract_inputs(
    image_shape: tuple[int, ...], numbers: int = 0, image_channels: int = 0
) -> dict[str, Tensor]:
    """The inputs of a Denoiser by name, each a batch: those of every one, and those that it has."""
    inputs = {
        "noisy_image": keras.Input(image_shape, dtype="float32", name="noisy_image"),
        "timestep": keras.Input((), dtype="int32", name="timestep"),
        "label": keras.Input((), dtype="int32", name="label"),
    }
    if numbers:
        inputs["numbers"] = keras.Input((numbers,), dtype="float32", name="numbers")
    if image_channels:
        shape = (*image_shape[:2], image_channels)
        inputs["image"] = keras.Input(shape, dtype="float32", name="image")
    return inputs


def prediction(x: Tensor, channels: int) -> Tensor:
    """`[B, H, W, C]` normed map ► `[B, H, W, channels]`: SiLU and the last convolution."""
    # Zero init: the first prediction is zero, whatever the depth. float32: it is the result.
    return keras.layers.Conv2D(
        channels, 3, padding="same", kernel_initializer="zeros", dtype="float32", name="conv_out"
    )(ops.silu(x))


def _down_and_up(x, condition, widths, blocks_per_level, attended, attention_heads, residual):
    """The two arms of a U-Net and what is between them, in layers named by their place.

    Args:
        x: `[B, H, W, widths[0]]` map.
        condition: `[B, E]`.
        widths: one int per level, from the finest: its channels.
        blocks_per_level: int. On the way down; one more on the way up.
        attended: heights of the maps whose blocks are followed by attention.
        attention_heads: int. Of these and of the attention in the middle.
        residual: dict of arguments of the blocks, and the `dtype` of all layers.

    Returns:
        `[B, H, W, widths[0]]` map.
    """
    policy, skips = residual["dtype"], [x]

    def heads(feature_map):
        return attention_heads if feature_map.shape[1] in attended else 0

    for level, width in enumerate(widths):
        for block in range(blocks_per_level):
            x = DownBlock(width, heads(x), **residual, name=f"down_{level}_block_{block}")(
                x, condition
            )
            skips.append(x)
        if level < len(widths) - 1:
            x = Downsample(width, dtype=policy, name=f"down_{level}_downsample")(x)
            skips.append(x)

    x = ResidualBlock(widths[-1], **residual, name="middle_in")(x, condition)
    x = SelfAttention2D(attention_heads, dtype=policy, name="middle_attention")(x)
    x = ResidualBlock(widths[-1], **residual, name="middle_out")(x, condition)

    for level, width in reversed(list(enumerate(widths))):
        for block in range(blocks_per_level + 1):
            name, heads_here = f"up_{level}_block_{block}", heads(x)
            # Beside its block by name, too: TensorFlow adds up gradients in the order of names.
            join = keras.layers.Concatenate(dtype=policy, name=f"{name}_concatenate")
            x = join([x, skips.pop()])  # [B, H, W, C + skip]
            x = UpBlock(width, heads_here, **residual, name=name)(x, condition)
        if level > 0:
            x = Upsample(width, dtype=policy, name=f"up_{level}_upsample")(x)
    return x


def check_image_shape(image_shape: tuple[int, ...], patch_size: int, levels: int) -> None:
    """Refuses a size that the stem and the levels do not divide."""
    factor = patch_size * 2 ** (levels - 1)
    if any(side % factor for side in image_shape[:2]):
        raise ValueError(
            f"`image_shape` height and width must be divisible by {factor} (one halving per level "
            f"after the first, times `patch_size`). Received: image_shape={image_shape}"
        )
