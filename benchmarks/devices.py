"""What training does on the devices of a machine: precisions, XLA, replicas, exact resume, export.

    python -m benchmarks.devices

On a machine with a GPU it tries, in some ten minutes, all that was tried on CPUs alone. Each row is
a process of its own, so that one that fails leaves the others. Nothing is downloaded.
"""

import contextlib
import dataclasses
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import tyro

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")


def speed(policy: str, jit_compile: bool, steps: int) -> str:
    """Trains the network of `cifar10_small` on noise; images a second after the first step."""
    import keras
    import numpy as np

    from kdiffusion.runs.build import build_model
    from kdiffusion.runs.presets import PRESETS

    config = PRESETS["cifar10_small"].replace(**{"model.dtype_policy": policy})
    model = build_model(config, (32, 32, 3), 10, total_steps=steps)
    model.compile(model.optimizer, jit_compile=jit_compile)
    times = []
    at_ends = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: times.append(time.time()))
    batch = config.optimizer.batch_size
    images = np.random.default_rng(0).integers(0, 256, (batch, 32, 32, 3), np.uint8)
    labels = np.arange(batch) % 10
    loss = model.fit(
        ((images, labels) for _ in range(steps + 1)), steps_per_epoch=1, epochs=steps + 1,
        verbose=0, callbacks=[at_ends],
    ).history["loss"][-1]  # fmt: skip
    assert np.isfinite(loss), loss
    return f"{steps * batch / (times[-1] - times[0]):.0f} images/s"


def _config(**changes):
    from kdiffusion.runs.presets import PRESETS

    return PRESETS["digits"].replace(
        **{"optimizer.epochs": 2, "evaluation.every_epochs": 0} | changes
    )


def replicas() -> str:
    """Trains the digits under `mirrored`."""
    import tensorflow as tf

    from kdiffusion.runs.run import train

    with tempfile.TemporaryDirectory() as folder:
        train(_config(**{"run.strategy": "mirrored"}), folder)
    return f"{len(tf.config.list_logical_devices('GPU')) or 1} replicas"


def resume() -> str:
    """Stops the digits amid an epoch and resumes them, with `--run.deterministic`."""
    import keras
    import numpy as np

    from kdiffusion.runs.run import train

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training |= batch == 4

    config = _config(**{"run.deterministic": True})
    with tempfile.TemporaryDirectory() as folder:
        whole = train(config, Path(folder, "whole")).model.get_weights()
        train(config, Path(folder, "parts"), callbacks=[Stop()])
        parts = train(config, Path(folder, "parts"), resume=True).model.get_weights()
    same = all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))
    return "the same weights, bit for bit" if same else "OTHER WEIGHTS"


def export() -> str:
    """Exports the digits, which compares each file with the network."""
    from kdiffusion.export.formats import export_run
    from kdiffusion.runs.run import train

    with tempfile.TemporaryDirectory() as folder:
        train(dataclasses.replace(_config(), preset="none"), folder)
        return ", ".join(export_run(folder))


def aside(function, *arguments):
    """Calls a function; what it prints goes to stderr, so that the table stays one."""
    with contextlib.redirect_stdout(sys.stderr):
        return function(*arguments)


def main(steps: int = 200) -> None:
    """Prints a table: what was tried, what came of it, and how long it took.

    Args:
        steps: timed training steps of each precision.
    """
    rows = {
        **{f"{policy}{', XLA' * jit}": (speed, policy, jit, steps)
           for policy in POLICIES for jit in (False, True)},
        "strategy mirrored": (replicas,),
        "stopped and resumed, deterministic": (resume,),
        "exported and compared": (export,),
    }  # fmt: skip
    print("| tried | result | seconds, start included |\n|---|---|---|", flush=True)
    for name, (function, *arguments) in rows.items():
        start = time.perf_counter()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            try:
                result = process.submit(aside, function, *arguments).result()
            except Exception as error:  # the next row may do better
                words = " ".join(str(error).split())
                result = f"FAILED: {type(error).__name__}: {words[:150]}"
        print(f"| {name} | {result} | {time.perf_counter() - start:.0f} |", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
