"""Who started this worker, and the cluster that it left in the environment, as TF_CONFIG has it.

A new launcher is a function and a row of `LAUNCHERS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PORT = 12_345  # of the first worker; below those that the system lends
HOSTS, FIRST_PORT, WORKERS = "KDIFFUSION_HOSTS", "KDIFFUSION_PORT", "KDIFFUSION_WORKERS"


@dataclass(frozen=True)
class Launcher:
    """One that starts a process on each machine.

    Attributes:
        variable: str. An environment variable that it sets, and none before it in the table.
        cluster: function of the environment that gives the content of TF_CONFIG, a dict.
    """

    variable: str
    cluster: Callable[[Mapping[str, str]], dict[str, Any]]


def tf_config_text(environment: Mapping[str, str]) -> str:
    """TF_CONFIG as it is given, or else of what the first launcher that is found there says.

    Args:
        environment: such as `os.environ`.

    Raises:
        ValueError: nothing there tells of a cluster, or not enough of it.
    """
    if "TF_CONFIG" in environment:
        return environment["TF_CONFIG"]
    for launcher in LAUNCHERS.values():
        if launcher.variable in environment:
            return json.dumps(launcher.cluster(environment))
    variables = [launcher.variable for launcher in LAUNCHERS.values()]
    raise ValueError(
        "`run.strategy` multi_worker needs the cluster: in the environment variable TF_CONFIG, the "
        "same on every worker but for its task, or from what starts the workers: srun, an Indexed "
        "Job of Kubernetes, mpirun or SageMaker (docs/distributed.md). "
        f"Received: none of TF_CONFIG, {', '.join(variables)}"
    )


def slurm(environment: Mapping[str, str]) -> dict[str, Any]:
    """The cluster of a Slurm job step, and this process's task in it.

    TensorFlow's resolver reads Slurm's variables; but given to the strategy as it is, it fails
    where a node has no GPU, and would have the strategy use as many as it was told of.
    """
    import tensorflow as tf

    tasks = int(environment["SLURM_STEP_NUM_TASKS"])
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        # One job's ports are not another's on the same node, and below those that the system lends.
        port_base=10_000 + 8 * int(environment["SLURM_JOB_ID"]) % 20_000,
        # As many as tasks, or it counts with nvidia-smi, and gives no port to a task without one.
        gpus_per_node=tasks,
        gpus_per_task=1,
        auto_set_gpu=False,  # Slurm has done so.
    )
    cluster = resolver.cluster_spec().as_dict()
    kind, index = resolver.get_task_info()
    return {"cluster": cluster, "task": {"type": kind, "index": index}}


def kubernetes(environment: Mapping[str, str]) -> dict[str, Any]:
    """An Indexed Job or a JobSet, whose pods have names that end in their index."""
    count = _whole(environment, WORKERS, "the number of the Job's `completions`")
    index = _whole(environment, "JOB_COMPLETION_INDEX", "this pod's index")
    return _cluster(environment, count, index)


def open_mpi(environment: Mapping[str, str]) -> dict[str, Any]:
    """`mpirun` of Open MPI."""
    count = _whole(environment, "OMPI_COMM_WORLD_SIZE", "the number of ranks")
    return _cluster(environment, count, _whole(environment, "OMPI_COMM_WORLD_RANK", "this rank"))


def mpich(environment: Mapping[str, str]) -> dict[str, Any]:
    """`mpiexec` of MPICH, Intel MPI and their kin."""
    count = _whole(environment, "PMI_SIZE", "the number of ranks")
    return _cluster(environment, count, _whole(environment, "PMI_RANK", "this rank"))


def sagemaker(environment: Mapping[str, str]) -> dict[str, Any]:
    """A training job of SageMaker: a container on each host."""
    try:
        hosts = [str(host) for host in json.loads(environment["SM_HOSTS"])]
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"SM_HOSTS must be a JSON list of hosts. Received: SM_HOSTS={environment['SM_HOSTS']}"
        ) from error
    current = environment.get("SM_CURRENT_HOST", "")
    if current not in hosts:
        raise ValueError(
            f"SM_CURRENT_HOST must be one of SM_HOSTS, {', '.join(hosts)}. "
            f"Received: SM_CURRENT_HOST={current}"
        )
    return _of_hosts(environment, hosts, hosts.index(current))


# In this order. TF_CONFIG, which goes before all of them, is what each is turned into.
LAUNCHERS = {
    "Slurm": Launcher("SLURM_STEP_NODELIST", slurm),
    "SageMaker": Launcher("SM_HOSTS", sagemaker),
    "Kubernetes": Launcher("JOB_COMPLETION_INDEX", kubernetes),
    "Open MPI": Launcher("OMPI_COMM_WORLD_SIZE", open_mpi),
    "MPICH": Launcher("PMI_SIZE", mpich),
}


def _cluster(environment, count, index):
    """Of launchers that tell how many there are and which one this is, but not where they are."""
    text = environment.get(HOSTS, "")
    if "{index}" in text:
        hosts = [text.replace("{index}", str(number)) for number in range(count)]
    else:
        hosts = [host.strip() for host in text.split(",") if host.strip()]
    if len(hosts) != count:
        raise ValueError(
            f"{HOSTS} must be the hosts of the {count} workers, with commas between them, or one "
            f"name with {{index}} for its number. Received: {HOSTS}={text!r}"
        )
    return _of_hosts(environment, hosts, index)


def _of_hosts(environment, hosts, index):
    # A port for each, so that several may share a host.
    first = PORT
    if FIRST_PORT in environment:
        first = _whole(environment, FIRST_PORT, "the first worker's port")
    addresses = [f"{host}:{first + number}" for number, host in enumerate(hosts)]
    return {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}


def _whole(environment, variable, meaning):
    text = environment.get(variable, "")
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{variable} must be {meaning}. Received: {variable}={text!r}")
    return int(text)
