"""The processes that train one model together: who writes, and what they must agree on."""

import contextlib

import tensorflow as tf

from kdiffusion.training.interruptions import WorkerLost

# What a collective operation raises when a worker that it needs is gone.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


class Workers:
    """The workers of a strategy; for all but `multi_worker` this process alone.

    Args:
        strategy: `tf.distribute.Strategy`.
    """

    def __init__(self, strategy):
        self._strategy = strategy
        self._several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        resolver = strategy.cluster_resolver
        task = (resolver.task_type, resolver.task_id) if self._several else (None, 0)
        # A worker that evaluates, or a parameter server, is none of these.
        chief = "chief" if self._several and "chief" in resolver.cluster_spec().jobs else "worker"
        self.is_chief = not task[0] or task == (chief, 0)

    def any(self, flag):
        """Whether a flag is up on any worker, told to all once all have called this.

        Args:
            flag: bool.
        """
        return self._mean(flag) > 0 if self._several else bool(flag)

    def check_equal(self, number, name):
        """Refuses to go on where the workers hold different numbers.

        Args:
            number: int.
            name: str. What it is.

        Raises:
            ValueError: on every worker.
        """
        if self._several and self.any(number != self._mean(number)):
            raise ValueError(
                f"All workers must have the same {name}; this one's is {number}, another's is not. "
                "The run's folder must lie on a file system that all workers share."
            )

    def _mean(self, number):
        return float(self._mean_of_all(tf.constant(float(number), tf.float64)))

    @tf.function
    def _mean_of_all(self, number):
        def reduce(number):
            context = tf.distribute.get_replica_context()
            # A copy, because the argument is on no device yet.
            return context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.identity(number))

        means = self._strategy.run(reduce, (number,))
        return self._strategy.experimental_local_results(means)[0]

    @contextlib.contextmanager
    def reporting_loss(self):
        """Raises WorkerLost where TensorFlow says, in many lines, that a worker is gone."""
        try:
            yield
        except _LOST as error:
            if not self._several:
                raise
            raise WorkerLost(
                "Another worker of the cluster was lost, so this one stops. Start all of them "
                "again by the same commands with --resume."
            ) from error
