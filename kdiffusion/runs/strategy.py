"""tf.distribute strategies by name, and a global batch divided among their replicas."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kdiffusion.data import training_batches
from kdiffusion.runs.choices import STRATEGIES, find
from kdiffusion.runs.cluster import find_cluster
from kdiffusion.terminal import working

if TYPE_CHECKING:
    from kdiffusion.data.image_dataset import ImageDataset


class OneProcessor(tf.distribute.OneDeviceStrategy):
    """The CPU alone, where batches are made, too: they stay where they are.

    TensorFlow would copy them by a thread that tunes itself and often sleeps on after the last
    step: a finished training waited for it for up to a minute.
    """

    def __init__(self):
        super().__init__("/cpu:0")

    def experimental_distribute_dataset(
        self, dataset: tf.data.Dataset, options: Any = None
    ) -> tf.data.Dataset:
        """The data set as it is."""
        return dataset


def one_device() -> tf.distribute.Strategy:
    """The first GPU, or the CPU."""
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.OneDeviceStrategy("/gpu:0")
    return OneProcessor()


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


def make_strategy(name: str) -> tf.distribute.Strategy:
    """The `tf.distribute.Strategy` of a name in `STRATEGIES`, on the devices that are there."""
    return find(name, STRATEGIES)()


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
        **options: `seed`, `first_step`, `flip` of `training_batches`.

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
