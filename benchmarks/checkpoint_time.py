"""How long a training waits for a checkpoint: for the file, its checksum and the disk.

python -m benchmarks.checkpoint_time cifar10_small
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
    """Measures and prints milliseconds: the median, the least and the most.

    Args:
        preset: whose model; for images of 32x32x3 and ten classes.
        rounds: checkpoints.
    """
    model = build_model(PRESETS[preset], (32, 32, 3), 10, total_steps=1000)
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(model, Path(folder))
        for _ in range(rounds):
            model.step.assign_add(1)
            start = time.perf_counter()
            checkpoints.save()  # amid an epoch: none is copied as the best so far
            seconds.append(time.perf_counter() - start)
    low, middle, high = 1000 * np.quantile(seconds, (0, 0.5, 1))
    print(f"A checkpoint of {preset}: {middle:.0f} ms ({low:.0f}-{high:.0f})")


if __name__ == "__main__":
    tyro.cli(main)
