"""What training is watched by: the loss, the loss by timestep, the gradient norm.

A metric here is given what all replicas contributed, so every replica holds the same state: a
checkpoint of one is a checkpoint of all, bit for bit, and each mean is that of the global batch.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

QUARTILES = 4


def sum_over_replicas(values: tf.Tensor) -> tf.Tensor:
    """What all replicas hold, added up: the same on each of them."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return values
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)


class _ReplicatedMetric(keras.metrics.Metric):
    """A metric whose variables are equal on every replica."""

    def add_variable(self, shape, initializer="zeros", **options):
        # Keras's own choice, the sum over replicas, would count what each of them holds.
        return super().add_variable(
            shape, initializer, **{**options, "aggregation": "only_first_replica"}
        )


@keras.saving.register_keras_serializable("kdiffusion")
class LossByTimestep(_ReplicatedMetric):
    """Mean loss, and that within each quarter of the timesteps (as improved-diffusion logs it).

    The first quarter is nearly clean images, where detail is learnt; the last nearly pure noise,
    where layout and colour are.

    Args:
        num_timesteps: int. T.

    Its name is that of its first result, so that Keras puts the loss first among numbers without
    names, as in `train_on_batch`.

    `result()` is a dictionary of five scalars: `loss`, `loss_t0_249` and so on; of fewer where T is
    below 4. That of a quarter without an example, as small batches may leave, is NaN.
    """

    def __init__(self, num_timesteps: int):
        super().__init__(name="loss")
        self.num_timesteps = num_timesteps
        self.total = self.add_variable((QUARTILES,), name="total")
        self.count = self.add_variable((QUARTILES,), name="count")

    def update_state(
        self, losses: tf.Tensor, timesteps: tf.Tensor, sample_weight: Any = 1.0
    ) -> None:
        """Adds losses `[B]` of timesteps `[B]` on all replicas; each counts its weight."""
        quartiles = ops.one_hot(
            timesteps * QUARTILES // self.num_timesteps, QUARTILES, dtype="float32"
        )  # [B, 4]
        quartiles *= ops.reshape(sample_weight, (-1, 1))
        sums = ops.stack([ops.sum(quartiles * losses[:, None], axis=0), ops.sum(quartiles, axis=0)])
        total, count = ops.unstack(sum_over_replicas(sums))
        self.total.assign_add(total)
        self.count.assign_add(count)

    def result(self) -> dict[str, tf.Tensor]:
        total, count = self.total.value, self.count.value
        means = total / count  # NaN, not 0, for a quarter that met no example
        edges = [-(-quarter * self.num_timesteps // QUARTILES) for quarter in range(QUARTILES + 1)]
        return {
            "loss": ops.divide_no_nan(ops.sum(total), ops.sum(count)),
            **{
                f"loss_t{edges[quarter]}_{edges[quarter + 1] - 1}": means[quarter]
                for quarter in range(QUARTILES)
                if edges[quarter] < edges[quarter + 1]
            },
        }


@keras.saving.register_keras_serializable("kdiffusion")
class StepMean(_ReplicatedMetric, keras.metrics.Mean):
    """Mean over steps of a number that all replicas agree on, such as the gradient's norm."""


def as_logs(results: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What a step logs, scalars by name; where Keras averages them over workers, `[1]`."""
    strategy = tf.distribute.get_strategy()
    several_workers = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if several_workers and strategy.num_replicas_in_sync > 1:
        # There Keras averages logs over their first axis, which scalars lack (keras#20585).
        return {name: value[None] for name, value in results.items()}
    return results
