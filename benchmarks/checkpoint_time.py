"""How long a training waits for a checkpoint: for the copy in memory, and for the file.

    python -m benchmarks.checkpoint_time cifar10_small

In turns, in one process: `save` that returns when the file is on the disk, and `save` as training
calls it.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.runs import PRESETS
from kdiffusion.runs.build import build_model
from kdiffusion.runs.checkpoints import Checkpoints

PresetName = tyro.extras.literal_type_from_choices(list(PRESETS))


def main(preset: Annotated[PresetName, tyro.conf.Positional] = "cifar10_small", rounds: int = 9):
    """Measures and prints a table in Markdown: medians, and the least and the most.

    Args:
        preset: whose model; for images of 32x32x3 and ten classes.
        rounds: checkpoints of each kind.
    """
    model = build_model(PRESETS[preset], (32, 32, 3), 10, total_steps=1000)
    seconds = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(model, Path(folder))
        checkpoints.save()  # makes the copies in memory
        for number in range(2 * rounds):
            model.step.assign_add(1)
            wait = number % 2 == 0
            start = time.perf_counter()
            checkpoints.save(wait=wait)  # amid an epoch: none is copied as the best so far
            seconds[wait].append(time.perf_counter() - start)
            checkpoints.wait()
        checkpoints.close()
    print("| the training waits for | ms |\n|---|---|")
    for wait, words in ((True, "the file, its checksum, the disk"), (False, "the copy in memory")):
        low, middle, high = 1000 * np.quantile(seconds[wait], (0, 0.5, 1))
        print(f"| {words} | {middle:.0f} ({low:.0f}-{high:.0f}) |")


if __name__ == "__main__":
    tyro.cli(main)
