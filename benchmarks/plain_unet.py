"""The network of `kdiffusion.networks.unet` out of Keras's own layers, to measure ours against.

GroupNormalization, MultiHeadAttention, Dense on maps and UpSampling2D, as one would write it first.
"""

import keras
from keras import layers, ops

from kdiffusion.networks.embeddings import ConditionEmbedding
from kdiffusion.networks.layers import MIN_GROUP_CHANNELS


def plain_unet(image_shape, num_classes, width, multipliers, blocks_per_level, attention):
    """Builds it, with one attention head and the same number of parameters.

    Args:
        image_shape: (height, width, channels).
        num_classes: int.
        width: int. Channels of the first level.
        multipliers: ints, of each level's channels.
        blocks_per_level: int.
        attention: ints. Heights of the maps that attend.

    Returns:
        keras.Model on a dictionary of the Denoiser contract's inputs.
    """
    inputs = {
        "noisy_image": keras.Input(image_shape, name="noisy_image"),
        "timestep": keras.Input((), dtype="int32", name="timestep"),
        "label": keras.Input((), dtype="int32", name="label"),
    }
    embed = ConditionEmbedding(num_classes, width, width, 4 * width)
    condition = embed(inputs["timestep"], inputs["label"])
    widths = [width * multiplier for multiplier in multipliers]

    def block(x, channels):
        x = _residual(x, condition, channels)
        return _attend(x) if x.shape[1] in attention else x

    x = _conv(widths[0])(inputs["noisy_image"])
    skips = [x]
    for level, channels in enumerate(widths):
        for _ in range(blocks_per_level):
            x = block(x, channels)
            skips.append(x)
        if level < len(widths) - 1:
            x = _conv(channels, strides=2)(x)
            skips.append(x)
    x = _residual(x, condition, widths[-1])
    x = _residual(_attend(x), condition, widths[-1])
    for level, channels in reversed(list(enumerate(widths))):
        for _ in range(blocks_per_level + 1):
            x = block(layers.Concatenate()([x, skips.pop()]), channels)
        if level > 0:
            x = _conv(channels)(layers.UpSampling2D(2)(x))
    return keras.Model(inputs, _conv(image_shape[-1])(ops.silu(_norm(x))))


def _conv(channels, strides=1):
    return layers.Conv2D(channels, 3, strides=strides, padding="same")


def _norm(x):
    groups = min(32, max(x.shape[-1] // MIN_GROUP_CHANNELS, 1))
    return layers.GroupNormalization(groups, epsilon=1e-6)(x)


def _residual(x, condition, channels):
    hidden = _conv(channels)(ops.silu(_norm(x)))
    hidden = hidden + layers.Reshape((1, 1, channels))(layers.Dense(channels)(condition))
    hidden = _conv(channels)(ops.silu(_norm(hidden)))
    return hidden + (x if x.shape[-1] == channels else layers.Dense(channels)(x))


def _attend(x):
    positions = layers.Reshape((-1, x.shape[-1]))(_norm(x))
    attended = layers.MultiHeadAttention(1, x.shape[-1])(positions, positions)
    return x + layers.Reshape(x.shape[1:])(attended)
