"""tf.distribute strategies by name, and a global batch divided among their replicas."""

import os

import tensorflow as tf

from kdiffusion.data import training_batches


def _one_device():
    return tf.distribute.OneDeviceStrategy(
        "/gpu:0" if tf.config.list_logical_devices("GPU") else "/cpu:0"
    )


def _mirrored():
    # Without GPUs: the logical CPU devices, so that replicas can be tried on any machine.
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker():
    if "TF_CONFIG" not in os.environ:
        raise ValueError(
            "`run.strategy` multi_worker needs the cluster in the environment variable TF_CONFIG, "
            "the same on every worker but for its task. Received: no TF_CONFIG"
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu():
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="")
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
    return tf.distribute.TPUStrategy(resolver)


def _auto():
    if "TF_CONFIG" in os.environ:
        return _multi_worker()
    return _mirrored() if len(tf.config.list_logical_devices("GPU")) > 1 else _one_device()


STRATEGIES = {
    "auto": _auto,
    "one_device": _one_device,
    "mirrored": _mirrored,
    "multi_worker": _multi_worker,
    "tpu": _tpu,
}


def make_strategy(name):
    """The `tf.distribute.Strategy` of a name in `STRATEGIES`, on the devices that are there.

    Raises:
        ValueError: an unknown name; `multi_worker` without TF_CONFIG.
    """
    if name not in STRATEGIES:
        raise ValueError(
            f"`strategy` must be one of {', '.join(STRATEGIES)}. Received: strategy={name!r}"
        )
    return STRATEGIES[name]()


def distributed_batches(strategy, dataset, batch_size, **options):
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
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise ValueError(
            f"`batch_size` is the global one and must be divisible by the {replicas} replicas. "
            f"Received: batch_size={batch_size}"
        )
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
