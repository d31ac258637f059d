"""The processes that train one model together: who writes, and what they must agree on."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from kdiffusion.runs.interruptions import WorkerLost

# What a collective operation raises when a worker that it needs is gone.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


class Workers:
    """The workers of a strategy; this process alone for all strategies but `multi_worker`.

    Args:
        strategy: `tf.distribute.Strategy`.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        self.is_chief = True
        if self.several:
            resolver = strategy.cluster_resolver
            chief = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
            self.is_chief = (resolver.task_type, resolver.task_id) == (chief, 0)

    def any(self, flag: bool) -> bool:
        """Whether a flag is up on any worker. All must call it."""
        return self._sum([flag])[0] > 0 if self.several else bool(flag)

    def check_agree(self, facts: dict[str, Any]) -> None:
        """Raises an error where workers differ in a fact. All must call it.

        Args:
            facts: {name: value that JSON can hold}, the names alike on all workers.

        Raises:
            ValueError: on every worker, naming each fact that differs.
        """
        if not self.several:
            return
        own = np.array([zlib.crc32(json.dumps(fact).encode()) for fact in facts.values()], float)
        differs = self._sum(self._sum(own) != own * self._strategy.num_replicas_in_sync) > 0
        if differs.any():
            names = [name for name, differ in zip(facts, differs, strict=True) if differ]
            raise ValueError(f"All workers must have the same {', '.join(names)}.")

    def _sum(self, numbers):
        """Numbers `[N]`, summed over all replicas of all workers, in float64."""
        return self._sum_of_all(tf.constant(numbers, tf.float64)).numpy()

    @tf.function
    def _sum_of_all(self, numbers):
        def reduce(numbers):
            context = tf.distribute.get_replica_context()
            # A copy, because the argument is on no device yet.
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(numbers))

        sums = self._strategy.run(reduce, (numbers,))
        return self._strategy.experimental_local_results(sums)[0]

    @contextlib.contextmanager
    def reporting_loss(self) -> Iterator[None]:
        """Raises WorkerLost where TensorFlow says, in many lines, that a worker is gone."""
        try:
            yield
        except _LOST as error:
            if not self.several:
                raise
            raise WorkerLost(
                "Another worker of the cluster was lost, so this one stops. Restart all of them "
                "with the same commands, with --resume and without --overwrite."
            ) from error
