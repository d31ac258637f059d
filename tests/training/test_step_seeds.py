"""Dropout that a step, a replica and a seed decide, and nothing else."""

import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.networks.unet import UNet
from kdiffusion.training.step_seeds import DROPOUT, seed_dropout, step_seeds


@pytest.fixture(scope="module")
def draw():
    """A function of seed and step: what each of two replicas computes from the same images."""
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        network = UNet((4, 4, 1), 2, 4, (1,), 1, (), dropout=0.5)
    for weight in network.weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    inputs = {
        "noisy_image": tf.ones((2, 4, 4, 1)),
        "timestep": tf.zeros(2, tf.int32),
        "label": tf.zeros(2, tf.int32),
    }

    def predict(seed, step):
        seed_dropout(network, step_seeds(seed, step)[DROPOUT])
        return network(inputs, training=True)

    run = tf.function(lambda seed, step: strategy.run(lambda: predict(seed, step)))

    def call(seed, step):
        replicas = run(seed, tf.constant(step, tf.int64))
        return [np.asarray(each) for each in strategy.experimental_local_results(replicas)]

    return call


def test_dropout_repeats_with_seed_and_step_and_differs_otherwise(draw):
    first = draw(1, 5)
    for seed, step in ((1, 6), (2, 5)):
        assert np.abs(draw(seed, step)[0] - first[0]).max() > 1e-3
    np.testing.assert_array_equal(draw(1, 5), first)


def test_replicas_drop_different_units(draw):
    first, second = draw(1, 5)
    assert np.abs(first - second).max() > 1e-3
