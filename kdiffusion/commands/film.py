"""`python -m kdiffusion film ARTIFACT`: how images come out of the noise, as a GIF and as a strip.

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.images import to_uint8

from .inputs import LabelsOrAll, Model, Positive, Sampling, Trust, labels_from_text
from .outputs import IMAGES, Output, choose_output, grid_by_class, labels_and_seeds, write_outputs

if TYPE_CHECKING:
    from kdiffusion.diffusion.conditions import Integers
    from kdiffusion.diffusion.denoiser import Denoiser

STRIP_FRAMES = 10
LAST_FRAME_REPEATS = 20  # the finished images stay to be looked at


def film(
    denoiser: Denoiser, labels: Integers, seeds: Integers, frames: int, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Samples images and keeps what they look like on the way, from pure noise on.

    Args:
        denoiser: a Denoiser.
        labels: ints `[N]`.
        seeds: ints `[N]`.
        frames: int, at least 2. Most frames to keep, evenly spread over the steps.
        **options: as in `sample`.

    Returns:
        (uint8 `[F, N, H, W, C]`, ints `[F]`): the frames, and after how many steps they are.
    """
    every: dict[int, list[np.ndarray]] = {}  # step ► its images, batch by batch

    def keep(index, t, x, x0):
        every.setdefault(index + 1, []).append(to_uint8(x))

    every[0] = [to_uint8(initial_latents(seeds, denoiser.card.image_shape))]
    sample(denoiser, labels, seeds, callback=keep, **options)
    kept = np.unique(np.linspace(0, len(every) - 1, min(frames, len(every))).round().astype(int))
    return np.stack([np.concatenate(every[step]) for step in kept.tolist()]), kept


def main(
    artifact: Model,
    labels: LabelsOrAll = None,
    per_label: Positive = 1,
    seed: int = 0,
    frames: Positive = 50,
    trust: Trust = False,
    output: Output = Output("film.gif"),
    sampling: Sampling = Sampling(),
) -> None:
    """Shows how images appear out of noise, as a GIF and as a strip of frames.

    The strip has the GIF's name with the suffix .png; each image is a row, noise on the left.

    Args:
        labels: class names or numbers, `all` (the default), or `none` for no class; a name of a
            class comes first.
        per_label: images of each class.
        seed: seed of the first image; the next ones have seed + 1, seed + 2, ...
        frames: largest number of frames in the GIF, spread evenly over the steps.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    out = choose_output(output.out, [".gif"], output.overwrite)
    strip = choose_output(str(out.with_suffix(".png")), IMAGES, output.overwrite)
    label_of_image, seeds = labels_and_seeds(numbers, per_label, seed)
    start = time.perf_counter()
    taken, steps = film(denoiser, label_of_image, seeds, frames, **sampling.given())
    seconds = time.perf_counter() - start
    names, scale = card.class_names, output.scale
    grids = [grid_by_class(frame, numbers, names, scale) for frame in taken]
    in_strip = np.unique(np.linspace(0, len(taken) - 1, STRIP_FRAMES).round().astype(int))
    rows = taken[in_strip].swapaxes(0, 1).reshape(-1, *card.image_shape)  # [N * F, H, W, C]
    strip_grid = grid_by_class(rows, label_of_image.tolist(), names, scale)
    grids += [grids[-1]] * LAST_FRAME_REPEATS
    written = write_outputs({out: grids, strip: strip_grid}, output.overwrite)
    print(f"{len(taken)} frames ({sampling.described(card)}) in {seconds:.1f} s: {written}")
    print(f"The strip shows the steps {', '.join(map(str, steps[in_strip]))} of {steps[-1]}.")
