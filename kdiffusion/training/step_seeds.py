"""The random numbers of a training step, all of them derived from (seed, step, replica).

So a step can be repeated, and a run resumed at any step is the run that was never stopped.
Replicas, steps and purposes draw unrelated numbers. Only 32 bits of the folded seed matter, so two
steps can share their numbers by chance: among n steps about n^2 / 2^33 pairs do, which is one pair
in 93,000 steps. Steps 12145 and 15701 of seed 0 do; their images, and so the gradients, differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    import keras

TIMESTEPS, NOISE, LABELS, DROPOUT = range(4)


def step_seeds(seed: int, step: Any) -> tf.Tensor:
    """One seed for each purpose, for this step on this replica.

    Args:
        seed: int of 32 bits. Of the run.
        step: int scalar; -1 for validation, whose draws are the same in every epoch.

    Returns:
        int32 `[4, 2]`, rows TIMESTEPS, NOISE, LABELS, DROPOUT.
    """
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    folded = tf.constant([seed, 0], tf.int32)
    for number in (step, replica):
        folded = fold_in(folded, number)
    return tf.random.experimental.stateless_split(folded, 4)  # pyright: ignore[reportAttributeAccessIssue]


def fold_in(seed: tf.Tensor, number: Any) -> tf.Tensor:
    """Another seed for each number: int32 `[2]` of int32 `[2]` and an int scalar."""
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(number, tf.int32))  # pyright: ignore[reportAttributeAccessIssue]


def seed_dropout(network: keras.Model, seed: tf.Tensor) -> None:
    """Makes a seed decide what each dropout layer of a network drops when it is next called.

    Left alone, Keras's generators count calls: no checkpoint holds their count, and every replica
    counts alike and so drops the same units.

    Args:
        network: keras.Model.
        seed: int32 `[2]`.
    """
    states = [v for v in network.variables if v.path.endswith("seed_generator_state")]
    if states:
        drawn = tf.random.stateless_uniform([len(states), 2], seed, 0, 2**31 - 1, tf.int32)
        for state, row in zip(states, tf.unstack(drawn), strict=True):
            state.assign(tf.cast(row, state.dtype))
