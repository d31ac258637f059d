"""Checkpoints of a run: weights, their moving average, the optimizer with its step."""

import tensorflow as tf


class Checkpoints:
    """The newest checkpoints of a model, by `tf.train.CheckpointManager`.

    A checkpoint is written under temporary names and then renamed; the newest `keep` stay.

    Args:
        model: a compiled `DiffusionModel`.
        directory: Path of the folder that holds them.
        keep: int. How many to keep. Defaults to `3`.
    """

    def __init__(self, model, directory, keep=3):
        self._optimizer = model.optimizer
        self._checkpoint = tf.train.Checkpoint(
            network=model.network, ema_network=model.ema_network, optimizer=model.optimizer
        )
        self._manager = tf.train.CheckpointManager(self._checkpoint, str(directory), keep)

    def save(self):
        """Writes a checkpoint named after the optimizer's step; returns its path."""
        return self._manager.save(checkpoint_number=int(self._optimizer.iterations.numpy()))

    def restore(self):
        """Restores the newest checkpoint in place; returns its step.

        Raises:
            FileNotFoundError: there is none.
        """
        newest = self._manager.latest_checkpoint
        if newest is None:
            raise FileNotFoundError(
                f"{self._manager.directory} must hold a checkpoint; it holds none. The run has not "
                "reached the end of its first epoch."
            )
        self._checkpoint.restore(newest).assert_existing_objects_matched()
        return int(self._optimizer.iterations.numpy())
