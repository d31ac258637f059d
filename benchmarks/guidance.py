"""Guidance of one network, side by side: strengths, an interval of noise levels, and autoguidance.

    python -m benchmarks.guidance cifar10 --guide runs/early/export/denoiser.onnx

Autoguidance (Karras et al. 2024, "Guiding a Diffusion Model with a Bad Version of Itself") takes
the prediction of a network that was trained less, of the same label, where classifier-free guidance
takes the prediction without a label. Every row draws from the same seeds; it writes a table, and
prints each row when it is measured.
"""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from kdiffusion.artifacts import load_denoiser
from kdiffusion.data import load_dataset
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.sampling import sample
from kdiffusion.evaluation.evaluation import measure
from kdiffusion.evaluation.image_sets import ImageSet
from kdiffusion.evaluation.real import read_real
from kdiffusion.files import staged
from kdiffusion.images import to_uint8

EVERYWHERE = (0.0, math.inf)  # in noise levels
FIGURES = ("share_as_asked", "kernel_distance", "precision", "recall", "density", "coverage")


@dataclasses.dataclass(frozen=True)
class Row:
    """One way to guide: w, the interval of sigma or None, and whether the guide is the bad one."""

    strength: float
    interval: tuple[float, float] | None = None
    auto: bool = False

    @property
    def name(self):
        how = "autoguidance" if self.auto else "guidance"
        where = f", sigma {self.interval[0]:g} to {self.interval[1]:g}" if self.interval else ""
        return f"{how}, w = {self.strength:g}{where}"


def autoguided(denoiser, guide, strength, interval=None):
    """A Denoiser: (1 + w) of one network less w of a worse one, for the same label.

    Args:
        denoiser: Denoiser.
        guide: Denoiser of the same card, trained less, or smaller.
        strength: float, w.
        interval: (low, high) noise levels between which it is guided; None for everywhere.

    Returns:
        Denoiser, to be drawn from with a guidance strength of 0.
    """
    levels = denoiser.card.schedule.noise_levels
    low, high = interval or (0.0, np.inf)

    def predict(noisy_images, timesteps, labels):
        prediction = denoiser(noisy_images, timesteps, labels)
        t = timesteps[0]  # a sampler asks for one timestep at a time
        if not low < levels[t] <= high:
            return prediction
        bad = guide(noisy_images, timesteps, labels)
        return (1 + np.float32(strength)) * prediction - np.float32(strength) * bad

    return NetworkDenoiser(denoiser.card, predict)


def draw(row, denoiser, guide, images):
    """uint8 `[N, H, W, C]`: the classes in turn, seeds from 0 on."""
    labels = np.arange(images) % denoiser.card.null_label
    if row.auto:
        network = autoguided(denoiser, guide, row.strength, row.interval)
        return to_uint8(sample(network, labels, range(images), guidance_strength=0.0))
    # None would be the interval that the card recommends.
    interval = row.interval or EVERYWHERE
    options = {"guidance_strength": row.strength, "guidance_interval": interval}
    return to_uint8(sample(denoiser, labels, range(images), **options))


def main(
    artifact: Annotated[Path, tyro.conf.Positional],
    guide: Path | None = None,
    images: int = 1000,
    strengths: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0),
    interval: tuple[float, float] = (0.25, 4.0),
    interval_strengths: tuple[float, ...] = (1.0, 2.0),
    auto_strengths: tuple[float, ...] = (0.5, 1.0, 2.0),
    out: Path = Path("guidance.json"),
):
    """Draws and measures each way to guide.

    Args:
        artifact: exported file, or the name of a released model.
        guide: exported file of a network that was trained less, for autoguidance; none if not
            given.
        images: how many each row draws, the classes in turn.
        strengths: w of classifier-free guidance.
        interval: of noise levels.
        interval_strengths: w inside of that interval, of both kinds of guidance.
        auto_strengths: w of autoguidance.
        out: JSON file to write; rows that it holds are not measured again.
    """
    denoiser = load_denoiser(artifact)
    about = {"artifact": str(artifact), "guide": str(guide), "images": images}
    rows = [Row(w) for w in strengths] + [Row(w, interval) for w in interval_strengths]
    if guide is not None:
        guide = load_denoiser(guide)
        rows += [Row(w, auto=True) for w in auto_strengths]
        rows += [Row(w, interval, auto=True) for w in interval_strengths]
    card = denoiser.card
    real = read_real(load_dataset(card.dataset), card.image_shape, card.class_names)
    found = json.loads(out.read_text()) if out.exists() else {"about": about}
    if found.get("about") != about:
        raise ValueError(
            f"`out` must be a new file, or one of the same: {out} is of {found.get('about')}. "
            f"Received: {about}"
        )
    for row in rows:
        if row.name not in found:
            start = time.perf_counter()
            drawn, labels = draw(row, denoiser, guide, images), np.arange(images) % card.null_label
            seconds = time.perf_counter() - start
            figures, _ = measure(ImageSet(drawn, labels), real, progress=False)
            found[row.name] = {name: figures[name] for name in FIGURES} | {"seconds": seconds}
            with staged(out, overwrite=True) as place:
                place.write_text(json.dumps(found, indent=1))
        cells = " | ".join(f"{found[row.name][name]:.3f}" for name in FIGURES)
        print(f"| {row.name} | {cells} | {found[row.name]['seconds']:.0f} |", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
