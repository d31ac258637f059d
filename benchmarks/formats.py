"""The table of formats in docs/formats.md: size, deviation and images of each, for one run.

python -m benchmarks.formats runs/digits
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion import sample, to_uint8
from kdiffusion.artifacts import load_denoiser
from kdiffusion.export import FORMATS, export_network
from kdiffusion.export.inference import inference_network
from kdiffusion.export.verify import largest_deviation
from kdiffusion.runs import load_run


def main(run_dir: Annotated[Path, tyro.conf.Positional], images: int = 20, steps: int = 50):
    """Exports a run to every format and prints a table in Markdown.

    Args:
        run_dir: run directory of a training.
        images: images that each file draws from the same seeds.
        steps: of DDIM, at guidance strength 1.
    """
    run = load_run(run_dir)
    network = inference_network(run.model.ema_network)
    labels = np.arange(images) % run.card.null_label
    with tempfile.TemporaryDirectory() as folder:
        paths = export_network(network, run.card, Path(folder), tuple(FORMATS))
        reference = None
        print("| `--formats` | MB | deviation | tolerance | levels of 255, at most | in the mean |")
        print("|---|---|---|---|---|---|")
        for name, path in paths.items():
            denoiser = load_denoiser(path, trust=True)
            drawn = sample(
                denoiser, labels, range(images), progress=False,
                sampler="ddim", steps=steps, guidance_strength=1.0,
            )  # fmt: skip
            drawn = to_uint8(drawn).astype(int)
            reference = drawn if reference is None else reference
            levels, size = np.abs(drawn - reference), _bytes(path) / 1e6
            print(
                f"| `{name}` | {size:.1f} | {largest_deviation(network, denoiser):.0e} "
                f"| {FORMATS[name].TOLERANCE:.0e} | {levels.max()} | {levels.mean():.2f} |",
                flush=True,
            )


def _bytes(path):
    # An OpenVINO file has its weights beside it, in a folder of its own.
    path = path.parent if path.suffix == ".xml" else path
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    tyro.cli(main)
