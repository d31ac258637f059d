"""Array jobs: the part that each engine gives a task, and what is wrong with it by name."""

import re
from pathlib import Path

import pytest

from kdiffusion.commands.array_jobs import ARRAY_JOBS, shard_of_environment
from kdiffusion.commands.shards import shard_from_text

DOCUMENT = Path(__file__).parents[2] / "docs" / "many_images.md"

# Of each engine: the environment of the third of four tasks.
THIRD = {
    "Slurm": {
        "SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "10",
        "SLURM_ARRAY_TASK_MAX": "13", "SLURM_ARRAY_TASK_STEP": "1",
    },
    "AWS Batch": {"AWS_BATCH_JOB_ARRAY_INDEX": "2", "AWS_BATCH_JOB_ARRAY_SIZE": "4"},
    "Cloud Run": {"CLOUD_RUN_TASK_INDEX": "2", "CLOUD_RUN_TASK_COUNT": "4"},
    "Kubernetes": {"JOB_COMPLETION_INDEX": "2", "KDIFFUSION_WORKERS": "4"},
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAY_JOBS)
def test_the_third_of_four_tasks(name, monkeypatch):
    assert shard_of_environment(THIRD[name]) == (3, 4)
    for job in ARRAY_JOBS.values():
        monkeypatch.delenv(job.index, raising=False)
    for variable, value in THIRD[name].items():
        monkeypatch.setenv(variable, value)
    assert shard_from_text("auto") == (3, 4)


@pytest.mark.parametrize("name", ARRAY_JOBS)
def test_all_tasks_together_are_the_job(name):
    job = ARRAY_JOBS[name]
    first = int(THIRD[name].get(job.first, 0))
    tasks = [{**THIRD[name], job.index: str(first + number)} for number in range(4)]
    assert [shard_of_environment(task) for task in tasks] == [(k, 4) for k in range(1, 5)]


def test_slurm_may_count_by_steps():
    step = {"SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}
    step |= {"SLURM_ARRAY_TASK_STEP": "2", "SLURM_ARRAY_TASK_MAX": "7"}  # --array=1-7:2
    shards = [shard_of_environment({**step, "SLURM_ARRAY_TASK_ID": i}) for i in "1357"]
    assert shards == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("task", ["1", "2", "9"])
def test_a_list_with_gaps_is_refused_by_every_task(task):
    """--array=1,2,9: the tasks know neither of the others' numbers."""
    environment = {
        "SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "1",
        "SLURM_ARRAY_TASK_MAX": "9", "SLURM_ARRAY_TASK_STEP": "1",
    }  # fmt: skip
    with pytest.raises(ValueError, match="without gaps"):
        shard_of_environment(environment)


def test_without_an_array_job_all_that_was_looked_for_is_named():
    with pytest.raises(ValueError, match=r"Pass `--shard K/N`") as caught:
        shard_of_environment({"PATH": "/bin"})
    assert all(job.index in str(caught.value) for job in ARRAY_JOBS.values())


@pytest.mark.parametrize("name", ARRAY_JOBS)
@pytest.mark.parametrize("value", [None, "", "four", "-4", "0", "2"])
def test_a_count_that_makes_no_sense_is_named(name, value):
    job = ARRAY_JOBS[name]
    environment = {key: text for key, text in THIRD[name].items() if key != job.count}
    if value is not None:
        environment[job.count] = value
    with pytest.raises(ValueError, match=job.count):
        shard_of_environment(environment)


def test_the_document_names_every_variable():
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, job in ARRAY_JOBS.items():
        assert re.search(rf"^\| {name}\b.*`{job.index}`.*`{job.count}`", text, re.MULTILINE)
