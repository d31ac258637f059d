import pytest

from kdiffusion.networks import LABEL_TABLE, named_weights
from kdiffusion.networks.unet import UNet
from kdiffusion.parts.diffusers.unet2d import UNet2D

DDPM_CIFAR10_PARAMETERS = 35_746_307  # Ho et al. 2020: "35.7 million"; google/ddpm-cifar10-32

SETTINGS = {
    "image_shape": (16, 8, 3),
    "num_classes": 3,
    "widths": (8, 16),
    "blocks_per_level": 1,
    "down_attention": (False, True),
    "up_attention": (True, False),
    "middle_attention": True,
    "head_channels": 4,
    "norm_groups": 4,
    "norm_epsilon": 1e-3,
    "symmetric_padding": True,
    "cosine_first": True,
    "frequency_shift": 0,
    "dropout": 0.25,
    "scale_shift": True,
    "dtype": "mixed_bfloat16",
    "name": "mine",
}


OF_A_RUN = {
    "image_shape": (16, 16, 3), "num_classes": 3, "base_channels": 8,
    "channel_multipliers": (1, 2), "blocks_per_level": 2, "attention_resolutions": (16,),
    "attention_heads": 1, "dropout": 0.0, "scale_shift": False, "patch_size": 1,
}  # fmt: skip


def test_as_it_comes_it_is_ddpms_network_for_cifar10_and_a_label_table():
    network = UNet2D((32, 32, 3), 10)
    assert network.count_params() == DDPM_CIFAR10_PARAMETERS + 11 * 512


def test_the_config_returns_every_argument_that_was_passed():
    assert UNet2D(**SETTINGS).get_config() == SETTINGS


def test_weights_that_unet_has_too_have_the_same_names():
    theirs = named_weights(UNet(**OF_A_RUN))
    ours = named_weights(UNet2D.from_settings(**OF_A_RUN, norm_groups=4))
    assert ours.keys() == theirs.keys()
    differing = {name for name in ours if ours[name].shape != theirs[name].shape}
    assert differing == {LABEL_TABLE, "condition/hidden/kernel"}


@pytest.mark.parametrize("change", [{"patch_size": 2}, {"attention_heads": 2}])
def test_settings_of_a_run_that_it_has_no_place_for_are_refused(change):
    with pytest.raises(ValueError, match="`patch_size` and `attention_heads` must be 1"):
        UNet2D.from_settings(**{**OF_A_RUN, **change})
