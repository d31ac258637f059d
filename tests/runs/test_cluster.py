"""Clusters as TF_CONFIG has them, and workers that wait for each other on real ports."""

import json
import socket
import threading

import pytest

from kdiffusion.runs.cluster import read_tf_config, wait_for_peers

TWO = {"worker": ["one:1", "two:2"]}
FIRST = {"type": "worker", "index": 0}


def test_the_workers_and_this_one_are_read():
    cluster = {"chief": ["a.b-c:65535"], "worker": ["[::1]:1", "10.0.0.1:2"], "ps": ["d:3"]}
    text = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": 1}})
    addresses, task = read_tf_config(text)
    assert task == ("worker", 1)
    assert addresses == {
        ("chief", 0): "a.b-c:65535",
        ("worker", 0): "[::1]:1",
        ("worker", 1): "10.0.0.1:2",
    }


@pytest.mark.parametrize(
    ("cluster", "task", "said"),
    [
        (None, FIRST, "no `cluster`"),
        ({}, FIRST, "no `cluster`"),
        ("worker", FIRST, "no `cluster`"),
        ({"worker": "one:1"}, FIRST, "no list"),
        ({"worker": ["one:99999"]}, FIRST, "'one:99999' .* ports are 1 to 65535"),
        ({"worker": ["one:0"]}, FIRST, "ports are 1 to 65535"),
        ({"worker": ["one"]}, FIRST, "'one' for an address"),
        ({"worker": ["http://one:1"]}, FIRST, "'http://one:1' for an address"),
        ({"worker": ["one two:1"]}, FIRST, "for an address"),
        ({"worker": [":1"]}, FIRST, "for an address"),
        ({"worker": [7]}, FIRST, "7 for an address"),
        ({"worker": ["one:1", "one:1"]}, FIRST, "'one:1' for the address of two"),
        ({"worker": ["one:1"], "ps": ["one:1"]}, FIRST, "for the address of two"),
        (TWO, None, "no `task`"),
        (TWO, {"index": 0}, "no `task`"),
        (TWO, {"type": "worker"}, "None for the task's index"),
        (TWO, {"type": "worker", "index": "0"}, "'0' for the task's index"),
        (TWO, {"type": "worker", "index": 2}, "worker 2 .* train are: worker 0, worker 1"),
        (TWO, {"type": "evaluator", "index": 0}, "evaluator 0 for its task"),
    ],
)
def test_what_cannot_be_a_cluster_is_named(cluster, task, said):
    text = json.dumps({"cluster": cluster, "task": task})
    with pytest.raises(ValueError, match=rf"TF_CONFIG must be a JSON object .*{said}.*Received"):
        read_tf_config(text)


def _addresses(count):
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return {("worker", n): f"127.0.0.1:{port}" for n, port in enumerate(ports)}


def test_one_waits_for_the_other_and_says_so(capsys):
    addresses = _addresses(2)
    first = threading.Thread(target=wait_for_peers, args=(addresses, ("worker", 0)), daemon=True)
    first.start()
    first.join(1.0)
    assert first.is_alive()
    said = f"Waiting for worker 1 at {addresses['worker', 1]} (nobody is there) ...\n"
    assert capsys.readouterr().out == said
    port = int(addresses["worker", 1].split(":")[1])
    with socket.create_server(("127.0.0.1", port)):  # as TensorFlow's server does
        first.join(20.0)
    assert not first.is_alive()


def test_a_host_without_an_address_is_waited_for_and_told(capsys):
    addresses = {**_addresses(1), ("worker", 1): "no-such-host.invalid:1"}
    waiting = threading.Thread(target=wait_for_peers, args=(addresses, ("worker", 0)), daemon=True)
    waiting.start()
    waiting.join(3.0)
    assert waiting.is_alive()
    assert "no-such-host.invalid:1 (no such host is known)" in capsys.readouterr().out


def test_a_port_that_is_taken_is_told():
    addresses = _addresses(2)
    port = int(addresses["worker", 0].split(":")[1])
    taken = pytest.raises(OSError, match=rf"in TF_CONFIG, 127\.0\.0\.1:{port}: Address already in")
    with socket.create_server(("127.0.0.1", port)), taken:
        wait_for_peers(addresses, ("worker", 0))


def test_one_alone_waits_for_nobody(capsys):
    wait_for_peers(_addresses(1), ("worker", 0))
    assert capsys.readouterr().out == ""
