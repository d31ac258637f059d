"""The cluster of a run with several workers, read from the environment by TensorFlow's resolvers.

A new launcher is a function and a row of `RESOLVERS`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import tensorflow as tf


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


def sagemaker() -> tf.distribute.cluster_resolver.ClusterResolver:
    """The hosts of a SageMaker job. TensorFlow's resolver of them is not in its public API."""
    hosts = json.loads(os.environ["SM_HOSTS"])
    cluster = tf.train.ClusterSpec({"worker": [f"{host}:2223" for host in hosts]})
    return _simple(cluster, "worker", hosts.index(os.environ["SM_CURRENT_HOST"]))


def _listed(index_variable):
    """Of a launcher that says which worker this is, but not where the others are.

    TensorFlow's `KubernetesClusterResolver` finds the pods, but not which of them it runs in.
    """
    addresses = os.environ["KDIFFUSION_HOSTS"].split(",")
    cluster = tf.train.ClusterSpec({"worker": addresses})
    return _simple(cluster, "worker", int(os.environ[index_variable]))


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
    "SM_HOSTS": sagemaker,
    "JOB_COMPLETION_INDEX": lambda: _listed("JOB_COMPLETION_INDEX"),  # Kubernetes
    "OMPI_COMM_WORLD_RANK": lambda: _listed("OMPI_COMM_WORLD_RANK"),  # Open MPI
    "PMI_RANK": lambda: _listed("PMI_RANK"),  # MPICH, Intel MPI
}
