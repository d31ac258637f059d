"""Which part of a job is this process's, by the environment: for `sample --shard auto`.

A new engine is a row of `ARRAY_JOBS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ArrayJob:
    """An engine that starts one command many times, each time with another number.

    Attributes:
        index: str. The environment variable with this task's number; the engine is known by it.
        count: str. The one with the number of tasks.
        first, last, step: str or None. Those with the first and last task's number and the step
            from one to the next, where the engine lets them be chosen. Else they count from 0.
    """

    index: str
    count: str
    first: str | None = None
    last: str | None = None
    step: str | None = None


# In this order: AWS Batch may run its tasks as an Indexed Job.
ARRAY_JOBS = {
    "Slurm": ArrayJob(
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
        "SLURM_ARRAY_TASK_STEP",
    ),
    "AWS Batch": ArrayJob("AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"),
    "Cloud Run": ArrayJob("CLOUD_RUN_TASK_INDEX", "CLOUD_RUN_TASK_COUNT"),
    # Kubernetes tells a pod its index alone: the manifest has to say how many there are.
    "Kubernetes": ArrayJob("JOB_COMPLETION_INDEX", "KDIFFUSION_WORKERS"),
}


def shard_of_environment(environment: Mapping[str, str]) -> tuple[int, int]:
    """The part of the job that the first engine that is found there gives this process.

    Args:
        environment: such as `os.environ`.

    Returns:
        (k, n): the k-th of n parts, k from 1 to n.

    Raises:
        ValueError: none of the engines' variables is there, or they make no sense; it names them.
    """
    for name, job in ARRAY_JOBS.items():
        if job.index in environment:
            return _shard(name, job, environment)
    variables = [f"{job.index} ({name})" for name, job in ARRAY_JOBS.items()]
    raise ValueError(
        "`shard` auto needs an array job, which tells each of its tasks its number: one of the "
        f"environment variables {', '.join(variables)}. None of them is set. Pass `--shard K/N`"
    )


def _shard(name, job, environment):
    index, count = _whole(environment, job.index), _whole(environment, job.count)
    first = _whole(environment, job.first, 0) if job.first else 0
    step = (_whole(environment, job.step, 1) if job.step else 1) or 1
    numbers = range(first, first + count * step, step)
    # A list such as 1,2,9 has gaps, and no task is told where.
    last = _whole(environment, job.last, index) if job.last else index
    if index not in numbers or last not in numbers:
        names = (job.index, job.count, job.first, job.last, job.step)
        received = [f"{name}={environment[name]}" for name in names if name in environment]
        raise ValueError(
            f"The numbers of the tasks on {name} must count up evenly, without gaps. "
            f"Received: {', '.join(received)}"
        )
    return numbers.index(index) + 1, count


def _whole(environment, variable, default=None):
    text = environment.get(variable, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit()):
        raise ValueError(
            f"{variable} must be a whole number, for `--shard auto`. Received: "
            + (f"{variable}={text!r}" if variable in environment else f"{variable} is not set")
        )
    return int(text)
