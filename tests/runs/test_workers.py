"""Two processes that train one model, and what becomes of them when one is lost."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.data import load_dataset
from kdiffusion.data.pipeline import training_batches
from tests.runs.conftest import TINY, last_checkpoint

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parent.parent.parent

SETTINGS = [
    *TINY, "--optimizer.epochs", "1", "--model.dropout", "0.2", "--run.strategy", "multi_worker",
    "--run.checkpoint-every-steps", "1", "--run.checkpoints-to-keep", "9", "--resume",
]  # fmt: skip

# What two workers do one thing after another: they read an epoch and print digests of the images
# that each is given, start with other settings, and train. What that run was after its first step
# goes on three times. It is stopped by a callback of the first worker, then by a SIGTERM to the
# second, which is killed in the end.
TOGETHER = """
import functools, hashlib, os, signal, sys, keras
from kdiffusion.commands import train
from kdiffusion.data import load_dataset
from kdiffusion.export import formats
from kdiffusion.runs import run, strategy as strategies
from kdiffusion.runs.fit import SaveCheckpoint
from kdiffusion.runs.strategy import distributed_batches
from tests.runs.conftest import as_it_was

# A process can make one of this kind.
strategies.multi_worker = functools.cache(strategies.multi_worker)
# A run that is resumed reads every number: the network that is there is traced already.
run.build_model = functools.cache(run.build_model)
formats.export_run = functools.partial(formats.export_run, formats=["onnx"])
arguments, folder = sys.argv[1:-2], sys.argv[-1]

def to(name, *options):
    return [*arguments, *options, "--run-dir", f"{folder}/{name}"]

strategy, dataset = strategies.multi_worker(), load_dataset("digits")
batches = iter(distributed_batches(strategy, dataset, 64, seed=3))
for _ in range(dataset.steps_per_epoch(64)):
    images = strategy.experimental_local_results(next(batches)[0])[0].numpy()
    print(*(hashlib.sha256(image.tobytes()).hexdigest() for image in images))

is_first = strategy.cluster_resolver.task_id == 0
try:
    train.run(to("refused", "--optimizer.learning-rate", "0.1" if is_first else "0.2"))
except ValueError as error:
    print("refused:", error)
train.run(to("whole"))
if is_first:
    as_it_was(f"{folder}/whole", f"{folder}/parts", step=1)
strategies.Workers(strategy).any(False)  # The other waits for that.

class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training |= batch == 1

def signal_and_save(self, batch, logs=None):
    number = {4: signal.SIGTERM, 5: signal.SIGKILL}.get(int(self.model.step.numpy()))
    if number and not is_first:
        os.kill(os.getpid(), number)
    save(self, batch, logs)

# The first worker alone has the callback.
config = train.parse(arguments).config
stopped = run.train(config, f"{folder}/parts", resume=True, callbacks=[Stop()])
print("a callback stopped it after step", int(stopped.model.step.numpy()))
save, SaveCheckpoint.on_train_batch_end = SaveCheckpoint.on_train_batch_end, signal_and_save
try:
    train.run(to("parts"))
except SystemExit as end:
    print("status", end.code, flush=True)
train.run(to("parts"))
"""

# `python train.py`, but for the export, and with a digest of the weights at the end.
TRAIN_ONLY = """
import hashlib, sys
from kdiffusion.commands import train
from kdiffusion.runs.run import train as run
command = train.parse(sys.argv[1:])
model = run(command.config, command.run_dir, resume=command.resume).model
numbers = [variable.numpy().tobytes() for variable in (*model.weights, *model.optimizer.variables)]
print("digest", hashlib.sha256(b"".join(numbers)).hexdigest())
"""


def _tf_config():
    """The environment of each of two workers on this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
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


def _run(script, folder, environments, statuses):
    """What two workers print that run a script and end with these statuses."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, *SETTINGS, "--run-dir", str(folder)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for environment in environments
    ]
    outputs = [worker.communicate(timeout=1800)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == statuses, outputs
    return outputs


def _last(output, pattern):
    return re.findall(pattern, output)[-1]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of the runs of TOGETHER, and what each of the two workers printed."""
    folder = tmp_path_factory.mktemp("together")
    return folder, _run(TOGETHER, folder, _tf_config(), [69, -signal.SIGKILL])


def test_two_workers_train_validate_and_export_as_one(together):
    folder, outputs = together
    assert _last(outputs[0], "validation [0-9.]+") == _last(outputs[1], "validation [0-9.]+")
    assert (folder / "whole/export/denoiser.onnx").exists()
    assert ["exporting" in output for output in outputs] == [True, False]


def test_workers_of_other_settings_stop_before_the_first_step(together):
    folder, outputs = together
    said = "refused: All workers must have the same optimizer.learning_rate."
    assert all(said in output for output in outputs)
    assert {path.name for path in (folder / "refused").iterdir()} <= {"run.lock"}


def test_no_image_is_seen_twice_in_an_epoch_and_both_see_what_one_would(together):
    seen = [re.findall(r"\b[0-9a-f]{64}\b", output) for output in together[1]]
    dataset = load_dataset("digits")
    steps = dataset.steps_per_epoch(64)
    batches = training_batches(dataset, 64, seed=3).take(steps)
    one = [
        hashlib.sha256(x.tobytes()).hexdigest() for x, _ in batches.unbatch().as_numpy_iterator()
    ]
    assert len(seen[0]) == len(seen[1]) == 32 * steps
    assert sorted(seen[0] + seen[1]) == sorted(one)
    assert len(set(one)) == 64 * steps


def test_where_one_is_stopped_both_stop(together):
    for output in together[1]:
        assert "a callback stopped it after step 3" in output
        assert "interrupted: Stopped by SIGTERM after step 4, which was saved." in output
        assert "status 75" in output


def test_one_is_killed_and_both_started_again_end_as_the_whole_run(together):
    folder, outputs = together
    assert "interrupted: Another worker of the cluster was lost" in outputs[0]
    assert "Traceback" not in outputs[0]
    newest = max((folder / "parts/checkpoints").glob("step_????????"))
    assert newest.name == "step_00000004"
    outputs = _run(TRAIN_ONLY, folder / "parts", _slurm_step(), [0, 0])
    assert _last(outputs[0], "digest .*") == _last(outputs[1], "digest .*")
    assert last_checkpoint(folder / "parts") == last_checkpoint(folder / "whole")
