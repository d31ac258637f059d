"""How training samples its timesteps: alike, from a density of noise levels, or by importance.

All that the training step sees of a timestep sampler are the methods of `TimestepSampler`.
"""

from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.training.metrics import sum_over_replicas
from kdiffusion.training.step_seeds import fold_in


class TimestepSampler(Protocol):
    """What chooses the timesteps of a batch; most learn nothing, and let each draw count alike."""

    def draw(self, batch_size: Any, seed: tf.Tensor) -> tf.Tensor:
        """Timesteps, int32 `[B]`."""
        ...

    def importance(self, timesteps: tf.Tensor) -> Any:
        """What each of them counts, float32 `[B]` or 1."""
        return ops.ones(())

    def update(self, losses: tf.Tensor, timesteps: tf.Tensor) -> None:
        """Learns from the losses of a step."""


def draw_fractions(batch_size: Any, seed: tf.Tensor, stratified: bool) -> tf.Tensor:
    """Places in the schedule, one for each example.

    Args:
        batch_size: int or int32 scalar, B.
        seed: int32 `[2]`, as in `tf.random.stateless_uniform`.
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


class UniformTimesteps(TimestepSampler):
    """Each of the T timesteps is as likely as any other (Ho et al. 2020, algorithm 1).

    Args:
        schedule: `NoiseSchedule`.
        stratified: bool. One from each of B equal parts of the schedule, in place of B independent
            ones. Defaults to `True`.
    """

    def __init__(self, schedule: NoiseSchedule, stratified: bool = True):
        self.num_timesteps = schedule.num_timesteps
        self.stratified = stratified

    def draw(self, batch_size: Any, seed: tf.Tensor) -> tf.Tensor:
        """int32 `[B]`."""
        fractions = draw_fractions(batch_size, seed, self.stratified)
        timesteps = tf.cast(fractions * self.num_timesteps, tf.int32)
        return tf.minimum(timesteps, self.num_timesteps - 1)


class ShuffledTimesteps(UniformTimesteps):
    """Uniform timesteps whose strata do not follow the order of the images.

    For images that come class by class, as a folder's do in validation: otherwise the first class
    is measured nearly clean, and the last one in noise.
    """

    def draw(self, batch_size: Any, seed: tf.Tensor) -> tf.Tensor:
        """int32 `[B]`."""
        order_seed = fold_in(seed, 1)
        return tf.random.experimental.stateless_shuffle(super().draw(batch_size, seed), order_seed)  # pyright: ignore[reportAttributeAccessIssue]


class LogNormalTimesteps(TimestepSampler):
    """Timesteps whose noise level has ln sigma ~ N(mean, std^2) (Karras et al. 2022, table 1).

    Every draw counts once, so the density is also what each noise level weighs: the middle, where
    shapes are decided, more than under uniform timesteps. Draws are stratified.

    Args:
        schedule: `NoiseSchedule`. One timestep has the density between the half-way points to its
            neighbours' ln sigma.
        mean: float. Of ln sigma; sigma in units of the images, which are in [-1, 1].
        std: float above 0. Of ln sigma.

    Raises:
        ValueError: a density that no timestep of the schedule meets.
    """

    def __init__(self, schedule: NoiseSchedule, mean: float, std: float):
        # Zero terminal SNR ends in an infinite noise level, which a log-normal never draws.
        log_sigma = np.log(schedule.noise_levels[np.isfinite(schedule.noise_levels)])
        density = np.zeros(schedule.num_timesteps)
        density[: len(log_sigma)] = np.exp(-0.5 * ((log_sigma - mean) / std) ** 2) * np.gradient(
            log_sigma
        )
        total = density.sum()
        if not total > 1e-3 * std:
            raise ValueError(
                "`log_sigma` must meet the schedule's noise levels, whose logarithms go from "
                f"{log_sigma[0]:.3g} to {log_sigma[-1]:.3g}. Received: mean {mean}, std {std}"
            )
        self.probabilities = density / total  # float64 [T]

    def draw(self, batch_size: Any, seed: tf.Tensor) -> tf.Tensor:
        """int32 `[B]`."""
        return _timesteps_at(
            draw_fractions(batch_size, seed, stratified=True),
            np.cumsum(self.probabilities).astype("float32"),
        )


def _timesteps_at(fractions, edges):
    """int32 `[B]`: timesteps at places `[B]` in a schedule of which t ends at `edges[t]`."""
    timesteps = tf.searchsorted(edges, fractions * edges[-1], side="right")
    return tf.minimum(timesteps, edges.shape[0] - 1)


MEMORY = 10  # losses of a timestep that its average looks back on: the paper's
# Part of the draws that stays uniform, so that no timestep is forgotten: the official code's.
UNIFORM_SHARE = 0.001


@keras.saving.register_keras_serializable("kdiffusion")
class LossSecondMoment(keras.layers.Layer):
    """Importance sampling of t by the loss it has had (Nichol & Dhariwal 2021, eq. 18).

    p_t is proportional to sqrt(E[L_t^2]), and L_t counts 1 / (T p_t) times, so that the expected
    gradient stays that of uniform timesteps, with less noise. Until each t has been met ten times,
    p_t is uniform. Where the paper averages the last ten losses of a t, this is a moving average
    with that memory: it needs two numbers per timestep, and replicas can add to it together.

    Args:
        num_timesteps: int. T.
    """

    def __init__(self, num_timesteps: int):
        super().__init__(trainable=False, dtype="float32", name="loss_second_moment")
        self.num_timesteps = num_timesteps
        self.average = self.add_weight((num_timesteps,), "zeros", trainable=False, name="average")
        self.seen = self.add_weight((num_timesteps,), "zeros", trainable=False, name="seen")
        self.built = True

    def probabilities(self) -> tf.Tensor:
        """p_t, float32 `[T]`."""
        uniform = 1.0 / self.num_timesteps
        # The average began at 0: what it lacks for that is 1 - decay^seen (as in Adam).
        weight = 1.0 - ops.power(1.0 - 1.0 / MEMORY, self.seen)
        spread = ops.sqrt(ops.divide_no_nan(self.average.value, weight))
        learnt = ops.divide_no_nan(spread, ops.sum(spread))
        learnt = (1.0 - UNIFORM_SHARE) * learnt + UNIFORM_SHARE * uniform
        known = ops.all(self.seen >= MEMORY)
        return ops.where(known, learnt, uniform * ops.ones_like(learnt))

    def draw(self, batch_size: Any, seed: tf.Tensor) -> tf.Tensor:
        """int32 `[B]`: stratified, t with the chance p_t."""
        fractions = draw_fractions(batch_size, seed, stratified=True)
        return _timesteps_at(fractions, tf.cumsum(self.probabilities()))

    def importance(self, timesteps: tf.Tensor) -> Any:
        """1 / (T p_t) for timesteps `[B]`: float32 `[B]`."""
        return 1.0 / (self.num_timesteps * ops.take(self.probabilities(), timesteps))

    def update(self, losses: tf.Tensor, timesteps: tf.Tensor) -> None:
        """Takes in the losses `[B]` of timesteps `[B]`, over all replicas together.

        A loss whose square is not finite, as an overflow in float16 gives, tells nothing.
        """
        rows = ops.one_hot(timesteps, self.num_timesteps, dtype="float32")  # [B, T]
        squares = ops.square(losses)
        finite = ops.isfinite(squares)
        squares = ops.where(finite, squares, 0.0)
        sums = ops.matmul(ops.stack([squares, ops.cast(finite, "float32")]), rows)
        squares, counts = ops.unstack(sum_over_replicas(sums))
        kept = ops.power(1.0 - 1.0 / MEMORY, counts)
        mean = ops.divide_no_nan(squares, counts)
        self.average.assign(kept * self.average + (1.0 - kept) * mean)
        self.seen.assign_add(counts)


# Each takes the schedule and (mean, std) of ln sigma, and gives a timestep sampler.
TIMESTEP_SAMPLING = {
    "uniform": lambda schedule, log_sigma: UniformTimesteps(schedule, stratified=False),
    "stratified": lambda schedule, log_sigma: UniformTimesteps(schedule),
    "log_normal": lambda schedule, log_sigma: LogNormalTimesteps(schedule, *log_sigma),
    "loss_second_moment": lambda schedule, log_sigma: LossSecondMoment(schedule.num_timesteps),
}
