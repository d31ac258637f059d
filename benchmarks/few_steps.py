"""How near images of few steps are to those of many: what a file recommends, and other samplers.

    python -m kdiffusion fit_sampler cifar10_5m --steps 8 --out few_steps.onnx
    python -m benchmarks.few_steps few_steps.onnx

Every row has the same seeds and labels in turn. Rows are printed in Markdown.
"""

from typing import Annotated

import numpy as np
import tyro

from kdiffusion import load_denoiser, sample
from kdiffusion.diffusion.sampling import network_evaluations

FINE = {"sampler": "unipc", "steps": 100}


def main(
    artifact: Annotated[str, tyro.conf.Positional],
    samplers: tuple[str, ...] = ("unipc", "dpmpp_2m", "ipndm"),
    steps: tuple[int, ...] = (8, 20),
    seeds: int = 32,
):
    """Measures the recommendation, each sampler in so many steps, and each at its timesteps.

    Args:
        artifact: exported file that recommends timesteps, as `fit_sampler` writes it.
        samplers: keys of SAMPLERS.
        steps: numbers of steps, evenly spaced.
        seeds: images, from seed 0 on.
    """
    denoiser = load_denoiser(artifact)
    card, labels = denoiser.card, np.arange(seeds) % denoiser.card.null_label

    def images(**options):
        return np.clip(sample(denoiser, labels, progress=False, **options), -1, 1)

    rows = [("recommended", {})]
    rows += [(f"{n} steps", {"sampler": each, "steps": n}) for each in samplers for n in steps]
    named = {"timesteps": card.timesteps}
    rows += [("these timesteps", {"sampler": each, **named}) for each in samplers]
    fine = images(**FINE)
    print("| sampler | steps | evaluations | rmse | levels of 255 |\n|---|---|---|---|---|")
    for what, options in rows:
        difference = images(**options) - fine
        rmse = np.sqrt(np.mean(difference**2))
        levels = 127.5 * np.median(np.abs(difference).mean((1, 2, 3)))
        evaluations = network_evaluations(card, **options)
        name = options.get("sampler", card.sampler)
        print(f"| {name} | {what} | {evaluations} | {rmse:.3f} | {levels:.1f} |", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
