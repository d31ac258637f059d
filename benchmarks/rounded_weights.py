"""How far images from rounded weights are from those of float32: quantiles over many, by sampler.

python -m benchmarks.rounded_weights runs/digits/export
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion import sample, to_uint8
from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.export import onnx_float16, onnx_int8, onnx_writer

ROUNDED = (onnx_float16.ARTIFACT, onnx_int8.ARTIFACT)
QUANTILES = (0.5, 0.9, 0.99, 1.0)


def main(
    folder: Annotated[Path, tyro.conf.Positional],
    images: int = 1000,
    steps: int = 20,
    guidance_strengths: tuple[float, ...] = (-0.5, 0.5),
    samplers: tuple[str, ...] = tuple(SAMPLERS),
    files: tuple[str, ...] = ROUNDED,
):
    """Draws the same seeds from each file and prints a table in Markdown.

    An image's distance is that of its worst pixel, of 255 levels.

    Args:
        folder: of an export, with denoiser.onnx and the files to compare with it.
        images: for each sampler and strength; the classes take turns.
        steps: of each sampler.
        guidance_strengths: w.
        samplers: keys of SAMPLERS.
        files: names in the folder.
    """
    exact = load_denoiser(folder / onnx_writer.ARTIFACT)
    rounded = {name: load_denoiser(folder / name) for name in files}
    labels = np.arange(images) % exact.card.null_label
    quantiles = " | ".join(f"{quantile:.0%}" for quantile in QUANTILES)
    print(f"| file | sampler | w | {quantiles} | within 8 | mean |")
    print("|---" * (5 + len(QUANTILES)) + "|")
    for strength in guidance_strengths:
        for sampler in samplers:
            options = {"sampler": sampler, "steps": steps, "guidance_strength": strength}
            expected = _images(exact, labels, **options)
            for name, denoiser in rounded.items():
                levels = np.abs(_images(denoiser, labels, **options) - expected)
                worst = levels.reshape(images, -1).max(axis=1)
                cells = " | ".join(
                    f"{value:.0f}" for value in np.quantile(worst, QUANTILES, method="higher")
                )
                print(
                    f"| `{name}` | {sampler} | {strength:g} | {cells} "
                    f"| {np.mean(worst <= 8):.1%} | {levels.mean():.2f} |",
                    flush=True,
                )


def _images(denoiser, labels, **options):
    seeds = range(len(labels))
    images = sample(denoiser, labels, seeds, progress=False, batch_size=250, **options)
    return to_uint8(images).astype(int)


if __name__ == "__main__":
    tyro.cli(main)
