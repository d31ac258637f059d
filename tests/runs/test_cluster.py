"""Clusters as each launcher leaves them in the environment, read by TensorFlow's resolvers."""

import json
import re
from pathlib import Path

import pytest
import tensorflow as tf

from kdiffusion.runs.strategy import RESOLVERS, find_cluster, multi_worker

DOCUMENT = Path(__file__).parents[2] / "docs" / "distributed.md"
WORKERS, THIRD = ["a:1", "b:2", "c:3"], {"type": "worker", "index": 2}
# Of each launcher: the environment of the third of three workers, and the addresses.
CASES = {
    "TF_CONFIG": (
        {"TF_CONFIG": json.dumps({"cluster": {"worker": WORKERS}, "task": THIRD})}, WORKERS,
    ),
    "SLURM_STEP_NODELIST": (  # two nodes, the first of which has two tasks; none has nvidia-smi
        {
            "SLURM_JOB_ID": "5003", "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3",
            "SLURM_STEP_NODELIST": "node[07-08]", "SLURM_STEP_TASKS_PER_NODE": "2,1", "PATH": "",
        },
        ["node07:10024", "node07:10025", "node08:10024"],
    ),
    "JOB_COMPLETION_INDEX": (
        {"JOB_COMPLETION_INDEX": "2", "KDIFFUSION_HOSTS": ",".join(WORKERS)}, WORKERS,
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def without_a_launcher(monkeypatch):
    for variable in RESOLVERS:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", RESOLVERS)
def test_the_cluster_of_each_launcher_is_read(variable, monkeypatch):
    environment, addresses = CASES[variable]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: 2 * [kind])
    resolver = find_cluster()
    assert resolver.cluster_spec().as_dict() == {"worker": addresses}
    assert (resolver.task_type, resolver.task_id) == ("worker", 2)
    if variable != "TF_CONFIG":  # whose GPUs the strategy counts by itself
        assert resolver.num_accelerators() == {"GPU": 2}


def test_workers_without_a_cluster_do_not_train_each_alone():
    with pytest.raises(ValueError, match=r"multi_worker.* TF_CONFIG"):
        multi_worker()


def test_the_documented_job_gives_each_pod_the_addresses_of_the_service(monkeypatch):
    (manifest,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)

    def value(pattern):
        return re.search(pattern, manifest).group(1)

    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    monkeypatch.setenv("KDIFFUSION_HOSTS", value(r'KDIFFUSION_HOSTS, value: "([^"]+)"'))
    count = int(value(r"completions: (\d+)"))
    addresses = find_cluster().cluster_spec().as_dict()["worker"]
    # An Indexed Job's pods are called JOB-INDEX, and found under their subdomain, the Service.
    job, service = value(r"kind: Job\nmetadata: {name: ([\w-]+)}"), value(r"subdomain: ([\w-]+)")
    assert [at.partition(":")[0] for at in addresses] == [
        f"{job}-{index}.{service}" for index in range(count)
    ]
