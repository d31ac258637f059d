"""How training draws its timesteps: alike, one from each stratum, or by importance."""

import keras
import tensorflow as tf
from keras import ops

from kdiffusion.models.metrics import sum_over_replicas

TIMESTEP_SAMPLING = ("uniform", "stratified", "loss_second_moment")


def draw_fractions(batch_size, seed, stratified):
    """Places in the schedule, one an example.

    Args:
        batch_size: int or int32 scalar, B.
        seed: int32 `[2]`, as of `tf.random.stateless_uniform`.
        stratified: bool. Place i in [i / B, (i + 1) / B), in place of B independent ones: the mean
            over a batch then varies less.

    Returns:
        float32 `[B]` in [0, 1]: rounding can reach 1.
    """
    fractions = tf.random.stateless_uniform([batch_size], seed)
    if not stratified:
        return fractions
    places = tf.range(batch_size, dtype=tf.float32)
    return (places + fractions) / tf.cast(batch_size, tf.float32)


def uniform_timesteps(fractions, num_timesteps):
    """int32 `[B]`: timesteps of places `[B]` in a schedule where each of the T has equal room."""
    timesteps = tf.cast(fractions * num_timesteps, tf.int32)
    return tf.minimum(timesteps, num_timesteps - 1)


@keras.saving.register_keras_serializable("kdiffusion")
class LossSecondMoment(keras.layers.Layer):
    """Importance sampling of t by the loss it has had (Nichol & Dhariwal 2021, eq. 18).

    p_t is proportional to sqrt(E[L_t^2]), and L_t counts 1 / (T p_t) times, so that the expected
    gradient stays that of uniform timesteps, with less noise. Until each t has been met ten times,
    p_t is uniform. Where the paper averages the last ten losses of a t, this is a moving average
    with that memory: it needs two numbers a timestep, and replicas can add to it together.

    Args:
        num_timesteps: int. T.
        memory: int. Losses of a t that its average looks back on. Defaults to the paper's `10`.
        uniform_share: float. Part of the draws that stays uniform, so that no timestep is
            forgotten. Defaults to the official code's `0.001`.
    """

    def __init__(self, num_timesteps, memory=10, uniform_share=0.001, **kwargs):
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.num_timesteps = num_timesteps
        self.memory = memory
        self.uniform_share = uniform_share
        self.average = self.add_weight((num_timesteps,), "zeros", trainable=False, name="average")
        self.seen = self.add_weight((num_timesteps,), "zeros", trainable=False, name="seen")
        self.built = True

    def probabilities(self):
        """p_t, float32 `[T]`."""
        uniform = 1.0 / self.num_timesteps
        # The average began at 0: what it lacks for that is 1 - decay^seen (as in Adam).
        weight = 1.0 - ops.power(1.0 - 1.0 / self.memory, self.seen)
        spread = ops.sqrt(ops.divide_no_nan(self.average.value, weight))
        learnt = ops.divide_no_nan(spread, ops.sum(spread))
        learnt = (1.0 - self.uniform_share) * learnt + self.uniform_share * uniform
        known = ops.all(self.seen >= self.memory)
        return ops.where(known, learnt, uniform * ops.ones_like(learnt))

    def timesteps(self, fractions):
        """int32 `[B]`: timesteps of places `[B]` in a schedule where t has p_t of the room."""
        edges = tf.cumsum(self.probabilities())
        timesteps = tf.searchsorted(edges, fractions * edges[-1], side="right")
        return tf.minimum(timesteps, self.num_timesteps - 1)

    def importance(self, timesteps):
        """1 / (T p_t) for timesteps `[B]`: float32 `[B]`."""
        return 1.0 / (self.num_timesteps * ops.take(self.probabilities(), timesteps))

    def update(self, losses, timesteps):
        """Takes in the losses `[B]` of timesteps `[B]`, over all replicas together."""
        rows = ops.one_hot(timesteps, self.num_timesteps, dtype="float32")  # [B, T]
        sums = ops.matmul(ops.stack([ops.square(losses), ops.ones_like(losses)]), rows)
        squares, counts = ops.unstack(sum_over_replicas(sums))
        kept = ops.power(1.0 - 1.0 / self.memory, counts)
        mean = ops.divide_no_nan(squares, counts)
        self.average.assign(kept * self.average + (1.0 - kept) * mean)
        self.seen.assign_add(counts)

    def get_config(self):
        return {
            "name": self.name,
            "num_timesteps": self.num_timesteps,
            "memory": self.memory,
            "uniform_share": self.uniform_share,
        }
