"""The memory and the time of a training step, with and without gradient accumulation.

    python -m benchmarks.step_memory stl10_large --side 64 --batch-size 16

Each row is a process of its own: three steps on random images. The memory is the peak of what was
resident, less what was resident when model and optimizer were built.
"""

import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Annotated

import tyro

from kdiffusion.runs.presets import PRESETS

PresetName = tyro.extras.literal_type_from_choices(list(PRESETS))
ROWS = {
    "whole batch": {},
    "gradient accumulation 4": {"optimizer.gradient_accumulation": 4},
}
STEPS = 3
# glibc hands what is freed back at once, so that what is resident is what is in use.
AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}


def _measure(preset, side, batch_size, dtype_policy, options):
    """(MiB above what was there before, seconds of the last step), in this process."""
    import numpy as np
    import tensorflow as tf

    from kdiffusion.runs.build import build_model

    settings = {"model.dtype_policy": dtype_policy, "optimizer.batch_size": batch_size, **options}
    config = PRESETS[preset].replace(**settings)
    model = build_model(config, (side, side, 3), 10, total_steps=1000)
    random = np.random.default_rng(0)
    images = tf.constant(random.uniform(-1, 1, (batch_size, side, side, 3)), tf.float32)
    labels = tf.zeros(batch_size, tf.int32)
    step = tf.function(lambda: model.train_step((images, labels))["loss"], autograph=False)
    before = _most_resident()
    for _ in range(STEPS):
        start = time.perf_counter()
        step().numpy()
        seconds = time.perf_counter() - start
    return _most_resident() - before, seconds


def _most_resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10  # MiB; Linux counts in KiB


def main(
    preset: Annotated[PresetName, tyro.conf.Positional] = "stl10_large",
    side: int = 64,
    batch_size: int = 16,
):
    """Measures and prints a table in Markdown.

    Args:
        preset: whose network and optimizer.
        side: of the square images, in pixels.
        batch_size: images per step.
    """
    print(f"{preset}, {side}x{side}, batches of {batch_size}\n")
    print("| | memory of a step, MiB | seconds |\n|---|---|---|")
    os.environ.update(AT_ONCE)
    for policy in ("float32", "mixed_bfloat16"):
        for name, options in ROWS.items():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                row = process.submit(_measure, preset, side, batch_size, policy, options)
            memory, seconds = row.result()
            print(f"| {policy}, {name} | {memory:.0f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
