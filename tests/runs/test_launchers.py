"""Launchers: the cluster that each leaves in the environment, and what is wrong with it by name."""

import json
import os
import re
from pathlib import Path

import pytest

from kdiffusion.runs.cluster import read_tf_config
from kdiffusion.runs.launchers import LAUNCHERS, tf_config_text

DOCUMENT = Path(__file__).parents[2] / "docs" / "distributed.md"

THREE = {"KDIFFUSION_HOSTS": "a, b,c"}
# Of each launcher: the environment of the third of three workers, and the addresses.
CASES = {
    "SageMaker": (
        {"SM_HOSTS": '["algo-1", "algo-2", "algo-3"]', "SM_CURRENT_HOST": "algo-3"},
        ["algo-1:12345", "algo-2:12346", "algo-3:12347"],
    ),
    "Kubernetes": (
        {
            "JOB_COMPLETION_INDEX": "2", "KDIFFUSION_WORKERS": "3", "KDIFFUSION_PORT": "2000",
            "KDIFFUSION_HOSTS": "job-{index}.service",
        },
        ["job-0.service:2000", "job-1.service:2001", "job-2.service:2002"],
    ),
    "Open MPI": (
        {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2", **THREE},
        ["a:12345", "b:12346", "c:12347"],
    ),
    "MPICH": ({"PMI_SIZE": "3", "PMI_RANK": "2", **THREE}, ["a:12345", "b:12346", "c:12347"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_cluster_is_read_and_is_one_that_tensorflow_takes(name):
    environment, addresses = CASES[name]
    assert LAUNCHERS[name].variable in environment
    found, task = read_tf_config(tf_config_text(environment))
    assert task == ("worker", 2)
    assert found == {("worker", index): address for index, address in enumerate(addresses)}


def test_slurm_names_the_cluster_without_asking_for_gpus(monkeypatch):
    """Three nodes, one of them with two tasks; this process is the third."""
    step = {
        "SLURM_JOB_ID": "5003", "SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_NODELIST": "node[07-09]", "SLURM_STEP_TASKS_PER_NODE": "1,2,1", "PATH": "",
    }  # fmt: skip
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    workers = ["node07:10024", "node08:10024", "node08:10025", "node09:10024"]
    assert LAUNCHERS["Slurm"].cluster(os.environ) == {
        "cluster": {"worker": workers},
        "task": {"type": "worker", "index": 2},
    }
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_every_launcher_is_tried():
    assert {*CASES, "Slurm"} == LAUNCHERS.keys()


def test_tf_config_goes_before_any_launcher():
    for environment, _ in CASES.values():
        assert tf_config_text({**environment, "TF_CONFIG": "given"}) == "given"


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("SageMaker", {"SM_HOSTS": "algo-1"}, "SM_HOSTS must be a JSON list"),
        ("SageMaker", {"SM_CURRENT_HOST": "algo-9"}, "one of SM_HOSTS, algo-1, .*=algo-9"),
        ("Kubernetes", {"KDIFFUSION_WORKERS": ""}, "KDIFFUSION_WORKERS must be the number of"),
        ("Kubernetes", {"JOB_COMPLETION_INDEX": "x"}, "JOB_COMPLETION_INDEX must be .*'x'"),
        ("Kubernetes", {"KDIFFUSION_HOSTS": ""}, "hosts of the 3 workers.*{index}.*''"),
        ("Kubernetes", {"KDIFFUSION_PORT": "-1"}, "KDIFFUSION_PORT must be .*'-1'"),
        ("Open MPI", {"KDIFFUSION_HOSTS": "a,b"}, "hosts of the 3 workers.*'a,b'"),
        ("MPICH", {"PMI_RANK": "1.5"}, "PMI_RANK must be this rank. .*'1.5'"),
    ],
)
def test_what_is_wrong_is_named(name, changes, said):
    with pytest.raises(ValueError, match=said):
        tf_config_text({**CASES[name][0], **changes})


def test_an_index_beyond_the_workers_is_no_cluster():
    environment = {**CASES["Kubernetes"][0], "JOB_COMPLETION_INDEX": "3"}
    with pytest.raises(ValueError, match="worker 3 for its task"):
        read_tf_config(tf_config_text(environment))


def test_the_documented_job_gives_each_pod_the_addresses_of_the_service():
    (manifest,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)

    def value(pattern):
        return re.search(pattern, manifest).group(1)

    count = int(value(r"completions: (\d+)"))
    environment = {
        "JOB_COMPLETION_INDEX": "0",
        "KDIFFUSION_WORKERS": value(r'KDIFFUSION_WORKERS, value: "(\d+)"'),
        "KDIFFUSION_HOSTS": value(r'KDIFFUSION_HOSTS, value: "([^"]+)"'),
    }
    addresses, _ = read_tf_config(tf_config_text(environment))
    assert len(addresses) == count == int(value(r"parallelism: (\d+)"))
    # An Indexed Job's pods are called JOB-INDEX, and found under their subdomain, the Service.
    job, service = value(r"kind: Job\nmetadata: {name: ([\w-]+)}"), value(r"subdomain: ([\w-]+)")
    assert service == value(r"kind: Service\nmetadata: {name: ([\w-]+)}")
    assert [at.partition(":")[0] for at in addresses.values()] == [
        f"{job}-{index}.{service}" for index in range(count)
    ]
    # What starting again doesn't mend fails the Job; what does isn't counted.
    assert json.loads(value(r"action: FailJob\n.*?values: (\[.*?\])")) == [1, 2]
    assert json.loads(value(r"action: Ignore\n.*?values: (\[.*?\])")) == [69, 75]
