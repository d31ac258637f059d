"""tf.distribute strategies by name, and a global batch divided among their replicas."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kdiffusion.data import training_batches
from kdiffusion.runs.choices import STRATEGIES, find
from kdiffusion.runs.cluster import read_tf_config, wait_for_peers

if TYPE_CHECKING:
    from kdiffusion.data.image_dataset import ImageDataset


def one_device() -> tf.distribute.Strategy:
    """The first GPU, or the processor."""
    return tf.distribute.OneDeviceStrategy(
        "/gpu:0" if tf.config.list_logical_devices("GPU") else "/cpu:0"
    )


def mirrored() -> tf.distribute.Strategy:
    """All GPUs of this machine."""
    # Without GPUs: the logical CPU devices, so that replicas can be tried on any machine.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def multi_worker() -> tf.distribute.Strategy:
    """All workers that TF_CONFIG or Slurm names."""
    if "TF_CONFIG" not in os.environ:
        if "SLURM_STEP_NODELIST" not in os.environ:
            raise ValueError(
                "`run.strategy` multi_worker needs the cluster: in the environment variable "
                "TF_CONFIG, the same on every worker but for its task, or from Slurm, when srun "
                "starts the workers. Received: neither TF_CONFIG nor SLURM_STEP_NODELIST"
            )
        os.environ["TF_CONFIG"] = json.dumps(slurm_cluster())
    wait_for_peers(*read_tf_config(os.environ["TF_CONFIG"]))
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        raise OSError(
            f"This worker could not serve at its address in TF_CONFIG: {error.message}. Is another "
            f"process at that port? Received: TF_CONFIG={os.environ['TF_CONFIG']}"
        ) from error
    if threading.current_thread() is threading.main_thread():
        # TensorFlow has put a handler of its own in the place of Python's, and does nothing in it.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return strategy


def slurm_cluster() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The cluster of a Slurm job step, and this process's task in it, as TF_CONFIG has them.

    TensorFlow's resolver reads Slurm's variables; but given to the strategy as it is, it fails
    where a node has no GPU, and would have the strategy use as many as it was told of.
    """
    tasks = int(os.environ["SLURM_STEP_NUM_TASKS"])
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        # One job's ports are not another's on the same node, and below those that the system lends.
        port_base=10_000 + 8 * int(os.environ["SLURM_JOB_ID"]) % 20_000,
        # As many as tasks, or it counts with nvidia-smi, and gives no port to a task without one.
        gpus_per_node=tasks,
        gpus_per_task=1,
        auto_set_gpu=False,  # Slurm has done so.
    )
    cluster = resolver.cluster_spec().as_dict()
    kind, index = resolver.get_task_info()
    return {"cluster": cluster, "task": {"type": kind, "index": index}}


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


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The `tf.distribute.Strategy` of a name in `STRATEGIES`, on the devices that are there.

    Raises:
        ValueError: an unknown name; `multi_worker` without a cluster.
    """
    return find("strategy", name, STRATEGIES)()


def check_batch_size(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Refuses a global batch that can't be divided equally among a strategy's replicas.

    Raises:
        ValueError: naming both numbers.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` is the global one and must be divisible by the {replicas} replicas. "
            f"Received: batch_size={batch_size}"
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
        batch_size: int. Images a step, over all replicas and workers.
        **options: `seed`, `first_step`, `flip` of `training_batches`.

    Raises:
        ValueError: a batch size that the replicas do not divide.
    """
    check_batch_size(strategy, batch_size)
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
