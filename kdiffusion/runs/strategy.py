"""tf.distribute strategies by name, and a global batch divided among their replicas."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from kdiffusion.data import training_batches
from kdiffusion.runs.choices import STRATEGIES, find
from kdiffusion.runs.cluster import read_tf_config, wait_for_peers
from kdiffusion.runs.launchers import tf_config_text

if TYPE_CHECKING:
    from kdiffusion.data.image_dataset import ImageDataset


class OneProcessor(tf.distribute.OneDeviceStrategy):
    """The processor alone, where batches are made too: they need not be brought to it.

    What TensorFlow would bring them by tunes itself in a thread that often sleeps through the end:
    the training was over, and waited for it for up to a minute.
    """

    def __init__(self):
        super().__init__("/cpu:0")

    def experimental_distribute_dataset(
        self, dataset: tf.data.Dataset, options: Any = None
    ) -> tf.data.Dataset:
        """The data set as it is."""
        return dataset


def one_device() -> tf.distribute.Strategy:
    """The first GPU, or the processor."""
    if tf.config.list_logical_devices("GPU"):
        return tf.distribute.OneDeviceStrategy("/gpu:0")
    return OneProcessor()


def mirrored() -> tf.distribute.Strategy:
    """All GPUs of this machine."""
    # Without GPUs: the logical CPU devices, so that replicas can be tried on any machine.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def multi_worker() -> tf.distribute.Strategy:
    """All workers that TF_CONFIG, or what started them, names."""
    os.environ["TF_CONFIG"] = tf_config_text(os.environ)
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


def check_batch_size(strategy: tf.distribute.Strategy, batch_size: int, parts: int = 1) -> None:
    """Refuses a global batch that can't be divided equally among a strategy's replicas.

    Args:
        strategy: `tf.distribute.Strategy`.
        batch_size: int. Images per step, over all replicas and workers.
        parts: int. In how many parts each replica computes its share.

    Raises:
        ValueError: naming the numbers.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` is the global one and must be divisible by the {replicas} replicas. "
            f"Received: batch_size={batch_size}"
        )
    if batch_size // replicas % parts:
        raise ValueError(
            f"`gradient_accumulation` must divide the batch of each device, "
            f"{batch_size // replicas} images. Received: gradient_accumulation={parts}"
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
