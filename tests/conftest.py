"""What every test shares: no TensorFlow notices, programs that may be missing, and a toy denoiser.

The toy is made by hand in ONNX, so that what surrounds the network is tested without one.
"""

import dataclasses
import functools
import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from xdist.scheduler import LoadFileScheduling

from conformance.write import make_card as conformance_card
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.schedules import make_schedule
from tests.onnx_models import write_toy

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as every command does
ROOT = Path(__file__).parents[1]
IMAGE_SHAPE = (6, 4, 3)  # height and width differ, so that a swap shows
TOGETHER = "tests/conformance/"


def pytest_collection_modifyitems(items):
    """Slow files come first, so that several processes end at about the same time.

    Those of the whole project, which install it and run its notebooks, before those of a package.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, len(item.path.parts)))


class ByFile(LoadFileScheduling):
    """A file at a time to each process, but the conformance tests to one: they share exports."""

    def _split_scope(self, nodeid):
        return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return ByFile(config, log)


def pytest_collection_finish():
    """TensorFlow's objects, which stay, are not looked through for garbage ever again."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    """Says how a test process that died came to its end, which pytest-xdist doesn't."""
    if error:
        process = node.gateway._io.popen
        print(f"\n{node.gateway.id} ended with status {process.wait(timeout=10)}", flush=True)


@pytest.fixture(scope="session")
def find_program():
    """`find_program("node", "Node.js")`: its path; without it the test skips.

    A fresh machine may lack what pip can't install. The one that guards main sets CI: there the
    test fails.
    """

    def find(name, what):
        path = shutil.which(name)
        if path is None:
            missing = f"needs {what}: `{name}` was not found on the PATH"
            if os.environ.get("CI") == "true":
                pytest.fail(missing)
            pytest.skip(missing)
        return path

    return find


@pytest.fixture(scope="session")
def run_python():
    """`run_python(*arguments, status=0, env={}, **options)`: the process, when it has ended so."""

    def run(*arguments, status=0, env=None, **options):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)], capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}, **{"cwd": ROOT, **options},
        )  # fmt: skip
        assert done.returncode == status, done.stdout[-2000:] + done.stderr[-3000:]
        return done

    return run


@pytest.fixture
def eagerly(monkeypatch):
    """Models train eagerly: a few steps are done sooner than a graph of one is traced."""
    from kdiffusion.training.diffusion_model import DiffusionModel

    eager = functools.partialmethod(DiffusionModel.compile, run_eagerly=True)
    monkeypatch.setattr(DiffusionModel, "compile", eager)


@pytest.fixture(scope="session")
def make_card():
    """`make_card(schedule=linear, **fields)`: a card of 2x3 grey images."""
    fields = {"image_shape": (2, 3, 1), "steps": 10, "guidance_strength": 0.0}
    linear = make_schedule("linear")
    return lambda schedule=linear, **others: conformance_card(schedule, **{**fields, **others})


@pytest.fixture(scope="session")
def card(make_card):
    """A card of three classes and 20 timesteps."""
    return make_card(
        NoiseSchedule(np.linspace(0.99, 0.01, 20)), image_shape=IMAGE_SHAPE,
        class_names=("cat", "dog", "ape"), images_seen=1, ema_decay=0.9, steps=5,
        guidance_strength=1.0,
    )  # fmt: skip


@pytest.fixture
def digits_file(card, tmp_path):
    """Writes the toy denoiser as if it had learnt the digits, with some fields of its card."""

    def write(**fields):
        changed = {
            "image_shape": (8, 8, 1), "class_names": tuple("0123456789"), "null_label": 10,
            "dataset": "digits", **fields,
        }  # fmt: skip
        text = dataclasses.replace(card, **changed).to_json()
        return write_toy(tmp_path / "digits.onnx", text, (8, 8, 1))

    return write


@pytest.fixture
def toy(card, tmp_path):
    """Path of a valid toy denoiser."""
    return write_toy(tmp_path / "toy.onnx", card.to_json(), card.image_shape)
