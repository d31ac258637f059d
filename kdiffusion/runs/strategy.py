"""tf.distribute strategies, a global batch divided among their replicas, and their workers.

The cluster of several workers is read from the environment by TensorFlow's resolvers: a new
launcher is a function and a row of `RESOLVERS`.
"""

import contextlib
import json
import os
import signal
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from kdiffusion.data.image_dataset import ImageDataset
from kdiffusion.data.pipeline import training_batches
from kdiffusion.runs.config import OptimizerConfig
from kdiffusion.runs.interruptions import WorkerLost
from kdiffusion.terminal import working


class OneProcessor(tf.distribute.OneDeviceStrategy):
    """The CPU alone, where batches are made, too: they stay where they are.

    TensorFlow would copy them by a thread that tunes itself and often sleeps on after the last
    step: a finished training waited for it for up to a minute.
    """

    def experimental_distribute_dataset(
        self, dataset: tf.data.Dataset, options: Any = None
    ) -> tf.data.Dataset:
        """The data set as it is."""
        return dataset


def one_device() -> tf.distribute.Strategy:
    """The first GPU, or the CPU."""
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.OneDeviceStrategy("/gpu:0")
    return OneProcessor("/cpu:0")


def mirrored() -> tf.distribute.Strategy:
    """All GPUs of this machine."""
    # Without GPUs: the logical CPU devices, so that replicas can be tried on any machine.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def multi_worker() -> tf.distribute.Strategy:
    """All workers of the cluster that the environment describes (docs/distributed.md)."""
    resolver = find_cluster()
    with working("waiting for all workers", line=True):
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    if threading.current_thread() is threading.main_thread():
        # TensorFlow has put a handler of its own in the place of Python's, and does nothing in it.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return strategy


def tpu() -> tf.distribute.Strategy:
    """The TPU of this machine."""
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="")
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def auto() -> tf.distribute.Strategy:
    """What the environment says: several workers, several GPUs, or one device."""
    if "TF_CONFIG" in os.environ:
        return multi_worker()
    return mirrored() if len(tf.config.list_logical_devices("GPU")) > 1 else one_device()


def check_batch_size(optimizer: OptimizerConfig, replicas: int) -> None:
    """Refuses a batch that can't be divided among replicas, and there into equal parts.

    Raises:
        ValueError: naming both.
    """
    parts = replicas * optimizer.gradient_accumulation
    if optimizer.batch_size % parts:
        raise ValueError(
            f"`optimizer.batch_size` must be divisible by {parts}: {replicas} replicas, each with "
            f"{optimizer.gradient_accumulation} parts. Received: {optimizer.batch_size}"
        )


def distributed_batches(
    strategy: tf.distribute.Strategy, dataset: ImageDataset, batch_size: int, **options: Any
) -> tf.data.Dataset | tf.distribute.DistributedDataset:
    """`training_batches` with each global batch divided equally among the strategy's replicas.

    Every worker draws only its replicas' rows of the same global batch, so that no example is seen
    twice in an epoch, whatever the number of workers.

    Args:
        strategy: `tf.distribute.Strategy`.
        dataset: `ImageDataset`.
        batch_size: int. Images per step, over all replicas and workers.
        **options: `seed`, `first_step`, `flip`, `condition_noise` of `training_batches`.

    Raises:
        ValueError: a batch size that the replicas do not divide.
    """
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return training_batches(dataset, batch_size, **options)

    def worker_batches(context):
        local = replicas // context.num_input_pipelines
        first = local * context.input_pipeline_id
        shards = [
            training_batches(dataset, batch_size, shard=(first + replica, replicas), **options)
            for replica in range(local)
        ]
        turns = tf.data.Dataset.range(local).repeat()
        return tf.data.Dataset.choose_from_datasets(shards, turns)

    return strategy.distribute_datasets_from_function(worker_batches)


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
        names = [name for name, differ in zip(facts, differs, strict=True) if differ]
        if names:
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


def find_cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The resolver of the first variable of `RESOLVERS` that the environment has.

    Raises:
        ValueError: it has none, so that each worker would train alone.
    """
    for variable, resolver in RESOLVERS.items():
        if variable in os.environ:
            return resolver()
    raise ValueError(
        "`run.strategy` multi_worker needs a cluster (docs/distributed.md). Received: none of "
        f"{', '.join(RESOLVERS)} in the environment"
    )


def slurm() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The tasks of a Slurm job step."""
    tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        # One job's ports are not another's on the same node, and below those that the system lends.
        port_base=10_000 + 8 * int(os.environ["SLURM_JOB_ID"]) % 20_000,
        # Without these it asks nvidia-smi, and fails on a node without a GPU.
        gpus_per_node=tasks,
        gpus_per_task=1,
        auto_set_gpu=False,  # Slurm has done so.
    )
    cluster = resolver.cluster_spec()
    return _simple(cluster, *resolver.get_task_info())  # which counts the GPUs that are there


def kubernetes() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The pods of an Indexed Job or a JobSet.

    TensorFlow's `KubernetesClusterResolver` finds the pods, but not which of them it runs in.
    """
    addresses = os.environ["KDIFFUSION_HOSTS"].split(",")
    cluster = tf.train.ClusterSpec({"worker": addresses})
    return _simple(cluster, "worker", int(os.environ["JOB_COMPLETION_INDEX"]))


def _simple(cluster, task_type, index):
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        cluster,
        task_type=task_type,
        task_id=index,
        # By default it has none, and the strategy would take the CPU.
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )


# Environment variable that a launcher sets ► resolver, in this order.
RESOLVERS: dict[str, Callable[[], tf.distribute.cluster_resolver.ClusterResolver]] = {
    "TF_CONFIG": tf.distribute.cluster_resolver.TFConfigClusterResolver,
    "SLURM_STEP_NODELIST": slurm,
    "JOB_COMPLETION_INDEX": kubernetes,
}
