"""Dropout that a step, a replica and a seed decide, and nothing else."""

import numpy as np
import tensorflow as tf

from kdiffusion.networks.unet import UNet
from kdiffusion.training.step_seeds import DROPOUT, seed_dropout, step_seeds
from tests.networks.layer_values import network_inputs, randomise


def test_dropout_repeats_with_seed_step_and_replica_and_differs_otherwise():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        network = UNet((4, 4, 1), 2, 4, (1,), 1, (), dropout=0.5)
    randomise(network)
    inputs = network_inputs((4, 4, 1))

    def predict(seed, step):
        seed_dropout(network, step_seeds(seed, step)[DROPOUT])
        return network(inputs, training=True)

    run = tf.function(lambda seed, step: strategy.run(predict, (seed, step)))
    drawn = [
        np.asarray(each)
        for seed, step in ((1, 5), (1, 6), (2, 5), (1, 5))
        for each in strategy.experimental_local_results(run(seed, tf.constant(step, tf.int64)))
    ]
    for number, one in enumerate(drawn[:6]):
        for other in drawn[:number]:
            assert np.abs(one - other).max() > 1e-3
    np.testing.assert_array_equal(drawn[6:], drawn[:2])
