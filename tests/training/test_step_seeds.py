"""Dropout that a step, a replica and a seed decide, and nothing else."""

import keras
import numpy as np
import tensorflow as tf

from kdiffusion.training.step_seeds import DROPOUT, seed_dropout, step_seeds


def test_dropout_repeats_with_seed_step_and_replica_and_differs_otherwise():
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    with strategy.scope():
        network = keras.Sequential([keras.Input((64,)), keras.layers.Dropout(0.5)])

    def predict(seed, step):
        seed_dropout(network, step_seeds(seed, step)[DROPOUT])
        return network(tf.ones((1, 64)), training=True)

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
