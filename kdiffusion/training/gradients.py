"""The gradient of a batch: computed in parts, averaged over replicas, clipped, applied."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kdiffusion.training.step_seeds import fold_in


def gradients_in_parts(
    objective: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    variables: Sequence[keras.Variable],
    parts: int,
    seed: tf.Tensor,
    batch: Sequence[Any],
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """The gradient of a batch, in parts that are computed one after another: memory for one.

    Args:
        objective: function of (seed, *part of the batch) to (a scalar, losses `[B / parts]`).
        variables: those with respect to which the gradient is taken.
        parts: int. Must divide B.
        seed: int32 `[2]`. Each part has another one derived from it.
        batch: tensors `[B, ...]`, or dicts of them.

    Returns:
        The mean gradient, one tensor for each variable, and the losses `[B]`.
    """
    if parts == 1:
        return _gradients(objective, variables, seed, *batch)
    batch = tf.nest.map_structure(
        lambda each: tf.reshape(each, [parts, -1, *each.shape[1:]]), list(batch)
    )

    def add_part(index, sums, losses):
        part = tf.nest.map_structure(lambda each: each[index], batch)
        gradients, part_losses = _gradients(objective, variables, fold_in(seed, index), *part)
        sums = [total + gradient for total, gradient in zip(sums, gradients, strict=True)]
        return index + 1, sums, losses.write(index, part_losses)

    # A loop, which holds what one part needs; the parts side by side would hold it for all.
    losses = tf.TensorArray(tf.float32, parts, element_shape=batch[0].shape[1:2])
    _, sums, losses = tf.while_loop(
        lambda index, *_: index < parts,
        add_part,
        (0, [tf.zeros(each.shape) for each in variables], losses),
        parallel_iterations=1,
    )
    return [total / parts for total in sums], losses.concat()


def _gradients(objective, variables, *part):
    with tf.GradientTape() as tape:
        value, losses = objective(*part)
    gradients = tape.gradient(value, variables)
    # Dense: the rows of an embedding's sparse gradient repeat, and their norm is not its norm.
    return [
        tf.zeros(variable.shape) if gradient is None else tf.convert_to_tensor(gradient)
        for variable, gradient in zip(variables, gradients, strict=True)
    ], losses


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    clip_norm: float | None,
) -> Any:
    """Averages gradients over replicas, clips them and applies them.

    Args:
        optimizer: keras.optimizers.Optimizer, which may scale the loss.
        gradients: one for each of the variables; of a loss that was scaled by the optimizer.
        variables: what the optimizer moves.
        clip_norm: float above 0, or None. Largest global norm of the gradient.

    Returns:
        float32 scalar: the norm before clipping.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        # Before clipping: a norm of one replica's share is not the norm of the gradient.
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.MEAN, gradients)
    norm = tf.linalg.global_norm(gradients) / optimizer.scale_loss(ops.ones(()))
    # The optimizer sums over replicas once more; they all hold the same average by now.
    factor = 1.0 / replicas
    if clip_norm is not None:
        factor *= tf.minimum(1.0, clip_norm / (norm + 1e-12))
    optimizer.apply_gradients(
        zip([gradient * factor for gradient in gradients], variables, strict=True)
    )
    return norm
