"""Runs under each strategy that this machine can offer: real devices' worth of processes."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.training.strategy import STRATEGIES, make_strategy

ROOT = Path(__file__).parent.parent.parent

TINY = [
    "digits", "--optimizer.epochs", "2", "--optimizer.batch-size", "256",
    "--model.base-channels", "8", "--sampling.steps", "2",
    "--run.checkpoint-every-epochs", "1",
]  # fmt: skip

TWO_DEVICES = """
import sys, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import train
train.main(sys.argv[1:])
"""


def _start(arguments, **environment):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _losses(output):
    return re.findall(r"val_loss: ([0-9.]+)", output)


def test_an_unknown_strategy_comes_with_the_known_ones():
    with pytest.raises(ValueError, match=", ".join(STRATEGIES)):
        make_strategy("parameter_server")


def test_workers_without_a_cluster_are_refused(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="TF_CONFIG"):
        make_strategy("multi_worker")


@pytest.mark.slow
def test_two_workers_train_validate_and_export_as_one(tmp_path):
    cluster = {"worker": [f"127.0.0.1:{port}" for port in _free_ports(2)]}
    run = tmp_path / "run"
    workers = [
        _start(
            ["train.py", *TINY, "--run.strategy", "multi_worker", "--run-dir", str(run)],
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]
    outputs = [worker.communicate(timeout=400)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert len(_losses(outputs[0])) == 2
    assert _losses(outputs[0]) == _losses(outputs[1])
    assert (run / "export/denoiser.onnx").exists()
    assert "Exporting" not in outputs[1]


@pytest.mark.slow
def test_two_devices_train_and_export_as_one(tmp_path):
    arguments = [*TINY, "--run.strategy", "mirrored", "--run-dir", str(tmp_path / "run")]
    process = _start(["-c", TWO_DEVICES, *arguments], PYTHONPATH=str(ROOT))
    output = process.communicate(timeout=400)[0]
    assert process.returncode == 0, output[-3000:]
    assert len(_losses(output)) == 2
    assert (tmp_path / "run/export/denoiser.onnx").exists()
