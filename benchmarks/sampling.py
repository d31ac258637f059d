"""Quality against cost: samplers, numbers of steps and guidance strengths, and files side by side.

    python -m benchmarks.sampling digits
    python -m benchmarks.sampling cifar10 --samplers unipc --steps 20 --strengths 0 1 2
    python -m benchmarks.sampling cifar10 fitted.onnx cifar10_few_steps --images 32 --out grid.png

Every row has the same seeds, classes in turn, and is measured as `kdiffusion evaluate` does. The
distance is to the images of the first file in 100 steps. Rows are printed in Markdown. The picture
has a row for each file, and a column for each class.
"""

import itertools
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion import load_dataset, load_denoiser, sample, to_uint8
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import network_evaluations
from kdiffusion.images import image_grid, save_png
from kdiffusion.parts.evaluation.evaluation import measure
from kdiffusion.parts.evaluation.image_sets import ImageSet
from kdiffusion.parts.evaluation.real_images import read_real

FINE = {"sampler": "unipc", "steps": 100}
FIGURES = ("frechet_distance", "kernel_distance", "share_as_asked", "recall")
COLUMNS = ("samples", "evaluations", "images/s", "rmse", "levels of 255", *FIGURES)


def main(
    artifacts: Annotated[tuple[str, ...], tyro.conf.Positional],
    samplers: tuple[str, ...] = tuple(name for name, row in SAMPLERS.items() if not row.fitted),
    steps: tuple[int, ...] = (5, 10, 20, 50),
    strengths: tuple[float, ...] = (0.0,),
    interval: tuple[float, float] = (0.0, float("inf")),
    images: int = 1000,
    out: Path | None = None,
):
    """Measures what each file recommends, and the first file by other samplers.

    Args:
        artifacts: exported files of the same classes, or names of released models.
        samplers: keys of SAMPLERS.
        steps: numbers of steps. The timesteps that a file recommends are tried too.
        strengths: of guidance, w.
        interval: noise levels between which guidance applies.
        images: samples in each row, from seed 0 on.
        out: PNG file to write.
    """
    files = {name: load_denoiser(name) for name in artifacts}
    places = {f"{n} steps": {"steps": n} for n in steps}
    for name, file in files.items():
        if file.card.timesteps is not None:
            places[f"timesteps of {name}"] = {"timesteps": file.card.timesteps}
    first, limits = files[artifacts[0]], {"guidance_interval": interval}
    rows = [(name, file, {}) for name, file in files.items()]
    for sampler, w, where in itertools.product(samplers, strengths, places):
        options = {"sampler": sampler, "guidance_strength": w, **limits, **places[where]}
        rows.append((f"{sampler}, w = {w:g}, {where}", first, options))

    card, pictures = first.card, {}
    real = read_real(load_dataset(card.dataset), card.image_shape, card.class_names)
    labels = np.arange(images) % card.null_label
    fine, _ = timed(first, labels, guidance_strength=strengths[0], **limits, **FINE)
    print(f"| {' | '.join(COLUMNS).replace('_', ' ')} |\n{'|---' * len(COLUMNS)}|")
    for what, file, options in rows:
        found, seconds = timed(file, labels, **options)
        rmse = np.sqrt(np.mean((found - fine) ** 2))
        levels = 127.5 * np.median(np.abs(found - fine).mean((1, 2, 3)))
        figures, _ = measure(ImageSet(to_uint8(found), labels), real, progress=False)
        evaluations = network_evaluations(file.card, **options)
        cells = [what, f"{evaluations}", f"{images / seconds:.0f}", f"{rmse:.3f}", f"{levels:.1f}"]
        cells += [f"{figures[name]:.3g}" if name in figures else "–" for name in FIGURES]
        print(f"| {' | '.join(cells)} |", flush=True)
        if not options:
            pictures[f"{Path(what).stem}, {evaluations}"] = to_uint8(found[: card.null_label])
    if out is not None:
        grid = np.concatenate(list(pictures.values()))
        save_png(image_grid(grid, card.null_label, list(pictures)), out, overwrite=True)


def timed(denoiser, labels, **options):
    """(samples `[N, H, W, C]`, seconds that they took)."""
    sample(denoiser, labels, progress=False, sampler="ddim", steps=1)  # a first call is slower
    start = time.perf_counter()
    found = sample(denoiser, labels, progress=False, **options)
    return np.clip(found, -1, 1), time.perf_counter() - start


if __name__ == "__main__":
    tyro.cli(main)
