"""The workers of a run and their addresses: as TF_CONFIG has them, checked; and waited for."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Those that train. Others may have addresses; nobody waits for them.
JOBS = ("chief", "worker")
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_ANSWER = 2.0


def has_several_workers(strategy: str) -> bool:
    """Whether a strategy, by its name in the configuration, is shared by processes."""
    return strategy == "multi_worker" or (strategy == "auto" and "TF_CONFIG" in os.environ)


def read_tf_config(text: str) -> tuple[dict[tuple[str, int], str], tuple[str, int]]:
    """The workers that the text of TF_CONFIG describes.

    Returns:
        addresses, {(job, index): "host:port"} of those that train, and this process's own
        (job, index).

    Raises:
        ValueError: naming what TensorFlow would stumble over, or wait for without end.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content: Any = None
    fault = _fault(content)
    if fault:
        raise ValueError(
            "TF_CONFIG must be a JSON object of `cluster`, which lists the address host:port of "
            "each worker by its job, and `task`, the type and index of this one. It has "
            f"{fault}. Received: TF_CONFIG={text}"
        )
    return _trainers(content["cluster"]), (content["task"]["type"], content["task"]["index"])


def _trainers(cluster):
    return {(job, n): address for job in JOBS for n, address in enumerate(cluster.get(job, []))}


def _fault(content):
    """What is wrong with the content of TF_CONFIG; None if nothing is."""
    cluster, task = (
        content.get(name) if isinstance(content, dict) else None for name in ("cluster", "task")
    )
    if not isinstance(cluster, dict) or not cluster:
        return "no `cluster` that names any address"
    if not all(isinstance(addresses, list) for addresses in cluster.values()):
        return "a job whose addresses are no list"
    every = [address for addresses in cluster.values() for address in addresses]
    for address in every:
        match = ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if match is None:
            return f"{address!r} for an address"
        if not 1 <= int(match[2]) <= 65535:
            return f"{address!r} for an address, and ports are 1 to 65535"
        if every.count(address) > 1:
            return f"{address!r} for the address of two"
    if not isinstance(task, dict) or not isinstance(task.get("type"), str):
        return "no `task` that names its type"
    if type(task.get("index")) is not int:
        return f"{task.get('index')!r} for the task's index, which must be an integer"
    known = _trainers(cluster)
    if (task["type"], task["index"]) not in known:
        names = ", ".join(f"{job} {index}" for job, index in known) or "none"
        return f"{task['type']} {task['index']} for its task, and those that train are: {names}"
    return None


def wait_for_peers(addresses: Mapping[tuple[str, int], str], task: tuple[str, int]) -> None:
    """Returns when each of the others is at its address, and says for whom it waits until then.

    TensorFlow waits for them too, but without a word, and deaf to SIGTERM and Ctrl-C. Each worker
    listens at its own address meanwhile; TensorFlow does once this returns.

    Args:
        addresses: {(job, index): "host:port"}.
        task: (job, index) of this process.

    Raises:
        OSError: another process is at this one's port.
    """
    others = {f"{job} {n}": at for (job, n), at in addresses.items() if (job, n) != task}
    missing = None
    with _listening(addresses[task]) as answer, ThreadPoolExecutor(32) as threads:
        while missing != {}:
            answer()
            reached = threads.map(_failure_to_reach, others.values())
            failures = dict(zip(others, reached, strict=True))
            before, missing = missing, {name: why for name, why in failures.items() if why}
            if missing and missing != before:
                told = (f"{name} at {others[name]} ({why})" for name, why in missing.items())
                print(f"Waiting for {', '.join(told)} ...", flush=True)
            if missing:
                time.sleep(SECONDS_BETWEEN_LOOKS)


@contextlib.contextmanager
def _listening(address):
    """Gives a function that takes in all who knocked at a port, and shows them out again."""
    port = int(address.rpartition(":")[2])
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        server = socket.create_server(("", port), family=family, dualstack_ipv6=dual, backlog=1024)
    except OSError as error:
        raise OSError(
            f"This worker could not serve at its address in TF_CONFIG, {address}: "
            f"{error.strerror}. Is another process at that port?"
        ) from error
    server.setblocking(False)

    def answer():
        with contextlib.suppress(BlockingIOError):  # nobody, or nobody else
            while True:
                server.accept()[0].close()

    with server:
        yield answer


def _failure_to_reach(address):
    """Why there is nobody at an address; an empty text if there is."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), SECONDS_TO_ANSWER).close()
    except socket.gaierror:
        return "no such host is known"
    except OSError:
        return "nobody is there"
    return ""
