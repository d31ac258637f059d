"""The processes that train one model together: who writes, and what they must agree on."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from kdiffusion.runs.interruptions import WorkerLost

# What a collective operation raises when a worker that it needs is gone.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)


class Workers:
    """The workers of a strategy; for all but `multi_worker` this process alone.

    Args:
        strategy: `tf.distribute.Strategy`.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy = strategy
        self.several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        resolver = strategy.cluster_resolver
        task = (resolver.task_type, resolver.task_id) if self.several else (None, 0)
        # A worker that evaluates, or a parameter server, is none of these.
        chief = "chief" if self.several and "chief" in resolver.cluster_spec().jobs else "worker"
        self.is_chief = not task[0] or task == (chief, 0)
        self._name = " ".join(str(part) for part in task)

    def any(self, flag: bool) -> bool:
        """Whether a flag is up on any worker, told to all once all have called this.

        Args:
            flag: bool.
        """
        return self._mean(flag) > 0 if self.several else bool(flag)

    def check_agree(self, facts: dict[str, Any]) -> None:
        """Refuses to go on where workers differ in a fact. All must call it.

        Args:
            facts: {name: value that JSON can hold}, the names alike on all workers.

        Raises:
            ValueError: on every worker, naming the first fact that differs, and both values.
        """
        if not self.several:
            return
        everyone = [json.loads(text) for text in self._gather(json.dumps([self._name, facts]))]
        (first, wanted), *others = everyone
        for name in wanted:
            for other, held in others:
                if held.get(name) != wanted[name]:
                    raise ValueError(
                        f"All workers must have the same {name}. Received: {wanted[name]!r} on "
                        f"{first}, {held.get(name)!r} on {other}"
                    )

    def _gather(self, text):
        """The texts of all workers, the same list on each of them."""
        codes = np.frombuffer(text.encode(), np.uint8).astype("int32")
        longest = int(self._rows_of_all(tf.constant([[len(codes)]], tf.int32)).numpy().max())
        row = np.pad(codes, (0, longest - len(codes)))  # no text holds a 0
        rows = self._rows_of_all(tf.constant(row[None], tf.int32)).numpy()
        # A worker's replicas all say the same.
        return list(dict.fromkeys(bytes(r[r > 0].astype("uint8")).decode() for r in rows))

    @tf.function
    def _rows_of_all(self, row):
        def gather(row):
            return tf.distribute.get_replica_context().all_gather(tf.identity(row), axis=0)

        rows = self._strategy.run(gather, (row,))
        return self._strategy.experimental_local_results(rows)[0]

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
    def reporting_loss(self) -> Iterator[None]:
        """Raises WorkerLost where TensorFlow says, in many lines, that a worker is gone."""
        try:
            yield
        except _LOST as error:
            if not self.several:
                raise
            raise WorkerLost(
                "Another worker of the cluster was lost, so this one stops. Start all of them "
                "again by the same commands with --resume, without --overwrite."
            ) from error
