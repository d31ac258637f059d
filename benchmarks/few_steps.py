"""How near few steps come to many, and what they cost: fitted samplers and students, side by side.

    python -m kdiffusion fit_sampler cifar10 --steps 8 --out fitted.onnx
    python -m benchmarks.few_steps cifar10 fitted.onnx cifar10_few_steps --out few_steps.png

Every row has the same seeds and labels in turn, in one batch. Rows are printed in Markdown. The
picture has a row for each file, and a column for each class.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion import load_denoiser, sample
from kdiffusion.diffusion.sampling import network_evaluations
from kdiffusion.images import image_grid, save_png, to_uint8

FINE = {"sampler": "unipc", "steps": 100}
IMAGES = 32  # from seed 0 on
# Of the first file: each in so many steps, and at the timesteps that the files recommend.
SAMPLERS, STEPS = ("unipc", "dpmpp_2m"), (8, 20)


def main(
    artifacts: Annotated[tuple[str, ...], tyro.conf.Positional],
    out: Path | None = None,
):
    """Measures what each file recommends, and the first file with other samplers.

    Args:
        artifacts: exported files of the same classes. The images of the first in 100 steps are
            what all others are compared with.
        out: PNG file to write.
    """
    files = {name: load_denoiser(name) for name in artifacts}
    first = files[artifacts[0]]
    classes = first.card.null_label

    def images(denoiser, **options):
        labels = np.arange(IMAGES) % classes
        return np.clip(sample(denoiser, labels, progress=False, **options), -1, 1)

    rows = [(name, denoiser, {}) for name, denoiser in files.items()]
    placed = {f"{n} steps": {"steps": n} for n in STEPS}
    for name, denoiser in files.items():
        if denoiser.card.timesteps is not None:
            placed[f"timesteps of {name}"] = {"timesteps": denoiser.card.timesteps}
    rows += [
        (f"{sampler}, {where}", first, {"sampler": sampler, **place})
        for sampler in SAMPLERS
        for where, place in placed.items()
    ]
    fine, grid = images(first, **FINE), {}
    print("| | evaluations | images/s | rmse | levels of 255 |\n|---|---|---|---|---|")
    for what, denoiser, options in rows:
        images(denoiser, sampler="ddim", steps=1)  # the first call of a shape is slower
        start = time.perf_counter()
        found = images(denoiser, **options)
        speed = IMAGES / (time.perf_counter() - start)
        difference = found - fine
        rmse = np.sqrt(np.mean(difference**2))
        levels = 127.5 * np.median(np.abs(difference).mean((1, 2, 3)))
        evaluations = network_evaluations(denoiser.card, **options)
        print(f"| {what} | {evaluations} | {speed:.0f} | {rmse:.3f} | {levels:.1f} |", flush=True)
        if not options:
            grid[f"{Path(what).stem}, {evaluations}"] = found[:classes]
    if out is not None:
        pictures = to_uint8(np.concatenate(list(grid.values())))
        save_png(image_grid(pictures, classes, list(grid)), out, overwrite=True)


if __name__ == "__main__":
    tyro.cli(main)
