from kdiffusion.networks import LABEL_TABLE, named_weights
from kdiffusion.networks.unet import UNet


def _network():
    return UNet(
        (8, 8, 1), 10, base_channels=8, channel_multipliers=(1, 2), blocks_per_level=1,
        attention_resolutions=(4,), dropout=0.1, patch_size=2, scale_shift=True,
    )  # fmt: skip


def test_every_weight_has_a_name_of_its_own_in_the_order_of_the_network():
    network = _network()
    named = named_weights(network)
    assert [id(variable) for variable in named.values()] == [id(v) for v in network.weights]
    assert len(named) == len(network.weights) > 100


def test_names_are_the_same_whatever_the_process_has_made():
    first, second = named_weights(_network()), named_weights(_network())
    assert list(first) == list(second)
    assert list(first) == [variable.path for variable in second.values()]


def test_names_say_where_a_weight_is():
    named = named_weights(_network())
    assert named[LABEL_TABLE].shape == (11, 8)
    assert named["down_1_block_0/residual/conv_out/kernel"].shape == (3, 3, 16, 16)
    assert named["middle_attention/query/kernel"].shape == (16, 16)
