"""Two processes that train one model, and what becomes of them when one is lost."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kdiffusion.data import load_dataset, training_batches

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent

TINY = [
    "digits", "--optimizer.epochs", "2", "--optimizer.batch-size", "256",
    "--model.base-channels", "4", "--model.channel-multipliers", "1", "--model.dropout", "0.2",
    "--sampling.steps", "2", "--run.strategy", "multi_worker", "--run.checkpoint-every-steps", "1",
    "--run.checkpoint-every-epochs", "1", "--resume",
]  # fmt: skip

# `python train.py`, but for the export, and with a digest of the weights at the end.
TRAIN_ONLY = """
import hashlib, sys
from kdiffusion.commands import train
from kdiffusion.runs import train as run
command = train.parse(sys.argv[1:])
model = run(command.config, command.run_dir, resume=command.resume).model
numbers = [variable.numpy().tobytes() for variable in (*model.weights, *model.optimizer.variables)]
print("digest", hashlib.sha256(b"".join(numbers)).hexdigest())
"""

# The same with a callback of the caller's, which the first worker alone has.
STOPPED = f"""
import keras
class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training |= batch == 1
{TRAIN_ONLY.replace("command.resume)", "command.resume, callbacks=[Stop()])")}
"""

# The digests of the images that a worker is given in an epoch.
SEEN = """
import hashlib
from kdiffusion.data import load_dataset
from kdiffusion.runs.strategy import distributed_batches, make_strategy
strategy, dataset = make_strategy("multi_worker"), load_dataset("digits")
batches = iter(distributed_batches(strategy, dataset, 64, seed=3))
for _ in range(dataset.steps_per_epoch(64)):
    images = strategy.experimental_local_results(next(batches)[0])[0].numpy()
    print(*(hashlib.sha256(image.tobytes()).hexdigest() for image in images), flush=True)
"""


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _tf_config():
    """The environment of each of two workers on this machine."""
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(2)]
    tasks = [{"type": "worker", "index": index} for index in range(2)]
    return [
        {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task})}
        for task in tasks
    ]


def _slurm_step():
    """What srun gives each of two tasks on this machine."""
    step = {
        "SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2",
    }  # fmt: skip
    return [{**step, "SLURM_PROCID": str(index)} for index in range(2)]


def _start(run, program=("train.py",), environments=_tf_config, options=([], [])):
    return [
        subprocess.Popen(
            [sys.executable, *program, *TINY, "--run-dir", str(run), *own],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for environment, own in zip(environments(), options, strict=True)
    ]


def _outputs(workers, statuses):
    outputs = [worker.communicate(timeout=400)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == statuses, outputs
    return outputs


def _wait_for(run, step, worker):
    """Returns when a checkpoint of that step or a later one is there."""
    while not any(path.name >= f"step_{step:08d}" for path in run.glob("checkpoints/step_*")):
        assert worker.poll() is None, worker.stdout.read()
        time.sleep(0.02)


def _last(output, pattern):
    return re.findall(pattern, output)[-1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two workers by the documented command, and what each of them printed."""
    run = tmp_path_factory.mktemp("whole")
    return run, _outputs(_start(run), [0, 0])


def test_two_workers_train_validate_and_export_as_one(whole):
    run, outputs = whole
    assert _last(outputs[0], "validation [0-9.]+") == _last(outputs[1], "validation [0-9.]+")
    assert (run / "export/denoiser.onnx").exists()
    assert ["exporting" in output for output in outputs] == [True, False]


def test_workers_of_other_settings_stop_before_the_first_step(tmp_path):
    options = ([], ["--optimizer.learning-rate", "0.5"])
    outputs = _outputs(_start(tmp_path, options=options), [1, 1])
    said = "error: All workers must have the same optimizer.learning_rate."
    assert all(said in output for output in outputs)
    assert not any("Traceback" in output for output in outputs)
    assert not list(tmp_path.iterdir())


def test_no_image_is_seen_twice_in_an_epoch_and_both_see_what_one_would(tmp_path):
    outputs = _outputs(_start(tmp_path, ("-c", SEEN)), [0, 0])
    seen = [re.findall(r"\b[0-9a-f]{64}\b", output) for output in outputs]
    dataset = load_dataset("digits")
    steps = dataset.steps_per_epoch(64)
    batches = training_batches(dataset, 64, seed=3).take(steps)
    one = [
        hashlib.sha256(x.tobytes()).hexdigest() for x, _ in batches.unbatch().as_numpy_iterator()
    ]
    assert len(seen[0]) == len(seen[1]) == 32 * steps
    assert sorted(seen[0] + seen[1]) == sorted(one)
    assert len(set(one)) == 64 * steps


def test_a_worker_is_killed_and_both_started_again_end_as_the_whole_run(
    whole, last_checkpoint, tmp_path
):
    workers = _start(tmp_path)
    _wait_for(tmp_path, 2, workers[0])
    workers[1].kill()
    outputs = _outputs(workers, [69, -signal.SIGKILL])
    assert "interrupted: Another worker of the cluster was lost" in outputs[0]
    assert "Traceback" not in outputs[0]
    outputs = _outputs(_start(tmp_path, ("-c", TRAIN_ONLY)), [0, 0])
    assert _last(outputs[0], "digest .*") == _last(outputs[1], "digest .*")
    assert last_checkpoint(tmp_path) == last_checkpoint(whole[0])


def test_where_a_callback_stops_one_both_stop(tmp_path):
    assert "Stop()" in STOPPED
    _outputs(_start(tmp_path, ("-c", STOPPED)), [0, 0])
    steps = sorted(path.name for path in tmp_path.glob("checkpoints/step_*"))
    assert steps[-1] == "step_00000002"


def test_sigterm_to_one_worker_of_a_slurm_step_stops_both_at_the_same_step(tmp_path):
    workers = _start(tmp_path, environments=_slurm_step)
    _wait_for(tmp_path, 1, workers[0])
    workers[1].terminate()
    outputs = _outputs(workers, [75, 75])
    steps = [_last(output, "Stopped by SIGTERM after step ([0-9]+)") for output in outputs]
    assert steps[0] == steps[1]
    assert (tmp_path / f"checkpoints/step_{int(steps[0]):08d}/record.json").exists()
