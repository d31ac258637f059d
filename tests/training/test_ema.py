"""The average forgets where it began as the product of its decays says."""

import keras
import numpy as np
import pytest

from kdiffusion.training.ema import averaged_copy, update_average


@pytest.fixture
def network():
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2)(inputs))


def test_a_copy_has_the_weights_and_follows_nothing_by_itself(network):
    average = averaged_copy(network)
    before = [np.array(weight) for weight in average.get_weights()]
    network.set_weights([weight + 1 for weight in network.get_weights()])
    for was, have, live in zip(before, average.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(have, was)
        np.testing.assert_allclose(live, was + 1, rtol=1e-6)
    assert average.trainable_weights == []


@pytest.mark.parametrize("ema_decay", [0.0, 0.3, 0.9999])
def test_of_where_it_began_the_product_of_the_decays_is_left(network, ema_decay):
    average = averaged_copy(network)
    begin = [np.array(weight) for weight in average.get_weights()]
    network.set_weights([weight + 1 for weight in network.get_weights()])
    left = 1.0
    for step in range(1, 30):
        update_average(average, network, ema_decay, step)
        left *= min(ema_decay, (1 + step) / (10 + step))
    for was, have in zip(begin, average.get_weights(), strict=True):
        np.testing.assert_allclose(have, was + 1 - left, rtol=1e-5)
