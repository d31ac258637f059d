"""Every export format of one run: its size, its deviation, and how far its samples differ.

    python -m benchmarks.formats runs/digits
    python -m benchmarks.formats runs/digits --formats onnx_int8 --samplers ddim unipc

The samples of each file are compared with those of denoiser.onnx, from the same seeds.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion import load_denoiser, load_run, sample, to_uint8
from kdiffusion.export.formats import FORMATS, export_network, largest_deviation
from kdiffusion.export.source import ExportSource, inference_network

QUANTILES = (0.5, 0.9, 0.99, 1.0)


def main(
    run_dir: Annotated[Path, tyro.conf.Positional],
    formats: tuple[str, ...] = tuple(FORMATS),
    samplers: tuple[str, ...] = ("ddim",),
    strengths: tuple[float, ...] = (0.5,),
    steps: int = 20,
    images: int = 100,
):
    """Exports a run to each format and prints two tables in Markdown.

    An image's difference is that of its worst pixel, in levels of 255.

    Args:
        run_dir: run directory of a training.
        formats: keys of FORMATS.
        samplers: keys of SAMPLERS.
        strengths: of guidance, w.
        steps: of each sampler.
        images: samples for each row; the classes take turns.
    """
    run = load_run(run_dir)
    network = inference_network(run.model.ema_network)
    live = ExportSource(network, run.card).denoiser
    with tempfile.TemporaryDirectory() as folder:
        paths = export_network(network, run.card, folder, tuple(dict.fromkeys(("onnx", *formats))))
        files = {name: load_denoiser(path, trust=True) for name, path in paths.items()}
        print("| format | MB | deviation | tolerance |\n|---|---|---|---|")
        for name, file in files.items():
            deviation = largest_deviation(live, file)
            print(
                f"| `{name}` | {_bytes(paths[name]) / 1e6:.1f} | {deviation:.0e} "
                f"| {FORMATS[name].tolerance:.0e} |"
            )
        quantiles = " | ".join(f"{quantile:.0%}" for quantile in QUANTILES)
        print(f"\n| format | sampler | w | {quantiles} | within 8 |\n{'|---' * 8}|")
        for sampler in samplers:
            for strength in strengths:
                options = {"sampler": sampler, "steps": steps, "guidance_strength": strength}
                expected = _samples(files["onnx"], images, options)
                for name, file in files.items():
                    levels = np.abs(_samples(file, images, options) - expected)
                    worst = levels.reshape(images, -1).max(axis=1)
                    found = np.quantile(worst, QUANTILES, method="higher")
                    cells = " | ".join(f"{value:.0f}" for value in found)
                    share = f"{np.mean(worst <= 8):.1%}"
                    print(
                        f"| `{name}` | {sampler} | {strength:g} | {cells} | {share} |", flush=True
                    )


def _samples(denoiser, images, options):
    labels = np.arange(images) % denoiser.card.null_label
    return to_uint8(sample(denoiser, labels, range(images), progress=False, **options)).astype(int)


def _bytes(path):
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    tyro.cli(main)
