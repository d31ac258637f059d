"""diffusers' `UNet2DModel` and our `UNet2D`: config.json ► arguments, tensors ► weights.

What our network has no place for is refused by the name of its field. A field that this list
doesn't know may change what the network computes, and is refused too.
"""

import re
from typing import Any

import numpy as np

from kdiffusion.tables import check_name

# Name of a block ► whether it has attention.
BLOCKS = {
    "down_block_types": {"DownBlock2D": False, "AttnDownBlock2D": True},
    "up_block_types": {"UpBlock2D": False, "AttnUpBlock2D": True},
}
# The fields of version 0.42 and what they are where config.json has them not.
DEFAULTS = {
    "sample_size": None,
    "out_channels": 3,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (224, 448, 672, 896),
    "layers_per_block": 2,
    "dropout": 0.0,
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "norm_eps": 1e-5,
    "add_attention": True,
    "num_class_embeds": None,
    "num_train_timesteps": None,
}
# Fields with the only values that are supported, the default first.
SUPPORTED = {
    "_class_name": ("UNet2DModel",),
    "in_channels": (3, 1),
    "center_input_sample": (False,),
    "time_embedding_type": ("positional",),
    "time_embedding_dim": (None,),
    "mid_block_type": ("UNetMidBlock2D",),
    "mid_block_scale_factor": (1,),
    "downsample_padding": (1, 0),
    "downsample_type": ("conv",),
    "upsample_type": ("conv",),
    "act_fn": ("silu", "swish"),  # two names of one function
    "attn_norm_num_groups": (None,),
    "resnet_time_scale_shift": ("default", "scale_shift"),
    "class_embed_type": (None,),
}


def arguments_of(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `UNet2D` for a network of diffusers.

    Args:
        config: dict, the content of its config.json.

    Returns:
        dict: all fields of the row "unet2d" of `NETWORKS` but `num_classes`.

    Raises:
        ValueError: names the field that isn't supported, the values that are, and what it is.
    """
    fields = _checked(config)
    size = fields["sample_size"]
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return {
        "image_shape": (height, width, fields["in_channels"]),
        "widths": tuple(fields["block_out_channels"]),
        "blocks_per_level": fields["layers_per_block"],
        "down_attention": _attention(fields, "down_block_types"),
        "up_attention": _attention(fields, "up_block_types")[::-1],
        "middle_attention": bool(fields["add_attention"]),
        "head_channels": fields["attention_head_dim"],
        "norm_groups": fields["norm_num_groups"],
        "norm_epsilon": float(fields["norm_eps"]),
        "symmetric_padding": fields["downsample_padding"] == 1,
        "cosine_first": bool(fields["flip_sin_to_cos"]),
        "frequency_shift": fields["freq_shift"],
        "dropout": float(fields["dropout"]),
        "scale_shift": fields["resnet_time_scale_shift"] == "scale_shift",
    }


def _checked(config):
    """All fields, each of which has a value that is supported."""
    known = {name: values[0] for name, values in SUPPORTED.items()} | DEFAULTS
    others = [name for name in config if name not in known and not name.startswith("_")]
    fields = known | config
    supported = {
        **SUPPORTED,
        "out_channels": (fields["in_channels"],),  # more would be a variance that is learnt
        **dict.fromkeys(others, (None,)),  # what would it do?
    }
    for name, values in supported.items():
        check_name(name, fields[name], values)
    return fields


def _attention(fields, name):
    """Whether each level has attention, in their order."""
    return tuple(BLOCKS[name][check_name(name, block, BLOCKS[name])] for block in fields[name])


# Of our names, by parts; the first that matches says theirs.
_OUTER = (
    (r"conv_in", "conv_in"),
    (r"norm_out", "conv_norm_out"),
    (r"conv_out", "conv_out"),
    (r"condition/hidden", "time_embedding.linear_1"),
    (r"condition/project", "time_embedding.linear_2"),
    (r"condition/embed_label", "class_embedding"),
    (r"middle_in", "mid_block.resnets.0"),
    (r"middle_out", "mid_block.resnets.1"),
    (r"middle_attention", "mid_block.attentions.0"),
    (r"down_(\d+)_downsample/conv", "down_blocks.{level}.downsamplers.0.conv"),
    (r"up_(\d+)_upsample/conv", "up_blocks.{mirrored}.upsamplers.0.conv"),
    (r"down_(\d+)_block_(\d+)/residual", "down_blocks.{level}.resnets.{block}"),
    (r"down_(\d+)_block_(\d+)/attention", "down_blocks.{level}.attentions.{block}"),
    (r"up_(\d+)_block_(\d+)/residual", "up_blocks.{mirrored}.resnets.{block}"),
    (r"up_(\d+)_block_(\d+)/attention", "up_blocks.{mirrored}.attentions.{block}"),
)
_RESIDUAL = {
    "norm_in": "norm1", "conv_in": "conv1", "project_condition": "time_emb_proj",
    "norm_out": "norm2", "conv_out": "conv2", "shortcut": "conv_shortcut",
}  # fmt: skip
_ATTENTION = {
    "norm": "group_norm", "query": "to_q", "key": "to_k", "value": "to_v", "project": "to_out.0",
}  # fmt: skip
_LEAVES = {
    "kernel": "weight", "scale": "weight", "embeddings": "weight", "offset": "bias", "bias": "bias",
}  # fmt: skip
# Of attention in older files, such as those of 2022.
OLDER_NAMES = (
    (".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."),
    (".proj_attn.", ".to_out.0."),
)  # fmt: skip


def their_name(name: str, levels: int) -> str:
    """The name of a tensor of `UNet2DModel`, for one of `named_weights`.

    Args:
        name: str, such as `"up_1_block_0/residual/conv_in/kernel"`.
        levels: int. Levels of the network: theirs counts those of the way up from the coarsest.
    """
    matches = ((re.match(f"{pattern}/", name), outer) for pattern, outer in _OUTER)
    match, outer = next((match, outer) for match, outer in matches if match)
    level, block = (*map(int, match.groups()), 0, 0)[:2]
    theirs = outer.format(level=level, mirrored=levels - 1 - level, block=block)
    *inner, leaf = name[match.end() :].split("/")
    parts = _ATTENTION if ".attentions." in theirs else _RESIDUAL
    return ".".join([theirs, *(parts[part] for part in inner), _LEAVES[leaf]])


def current_name(name: str) -> str:
    """The name that newer files have for a tensor."""
    for old, new in OLDER_NAMES:
        if ".attentions." in name:
            name = name.replace(old, new)
    return name


def our_layout(name: str, value: np.ndarray) -> np.ndarray:
    """A tensor of theirs in the layout of our weight of that name.

    PyTorch has output channels first: kernels `[O, I, H, W]` and `[O, I]`, where Keras has
    `[H, W, I, O]` and `[I, O]`.
    """
    if value.ndim < 2 or name.endswith("/embeddings"):
        return value
    if name.endswith("shortcut/kernel"):  # a convolution of 1x1 there, a dense layer here
        value = value.reshape(value.shape[:2])
    axes = (2, 3, 1, 0) if value.ndim == 4 else (1, 0)
    return np.ascontiguousarray(value.transpose(axes))
