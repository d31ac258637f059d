import keras
import numpy as np

from kdiffusion.networks import UNet
from kdiffusion.networks.weights import LABEL_TABLE, named_weights


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


def test_weights_of_lists_and_of_a_sequence_have_names_of_their_own():
    inputs = keras.Input((4,))
    dense = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(4)], name="mlp")
    network = keras.Model(inputs, dense(inputs))
    named = named_weights(network)
    assert [id(variable) for variable in named.values()] == [id(v) for v in network.weights]


def test_what_is_assigned_by_name_is_what_the_network_computes_with():
    one, other = _network(), _network()
    rng = np.random.default_rng(0)
    one.set_weights([0.3 * rng.standard_normal(w.shape) for w in one.get_weights()])
    target = named_weights(other)
    for name, variable in reversed(named_weights(one).items()):
        target[name].assign(variable)
    inputs = {
        "noisy_image": rng.standard_normal((2, 8, 8, 1)).astype("float32"),
        "timestep": np.array([3, 700], "int32"),
        "label": np.array([0, 10], "int32"),
    }
    np.testing.assert_array_equal(one(inputs), other(inputs))
    assert np.std(one(inputs)) > 0.1
