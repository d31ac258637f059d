"""`python -m kdiffusion film ARTIFACT`: how images come out of the noise, as a GIF and as a strip.

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kdiffusion.artifacts import load_denoiser
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.sampling_options import SamplingOptions
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
    denoiser: Denoiser,
    labels: Integers,
    seeds: Integers,
    *,
    frames: int,
    show: str = "image",
    batch_size: int = 64,
    progress: bool = True,
    **options: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Samples images and keeps what they look like on the way.

    Args:
        denoiser: a Denoiser.
        labels: ints `[N]`.
        seeds: ints `[N]`.
        frames: int, at least 2. Most frames to keep, evenly spread over the steps.
        show: "image" for the image itself, from pure noise on, or "prediction" for what the network
            takes the finished image to be, from its first look on.
        batch_size: int. Images at a time.
        progress: bool. Whether to show a bar.
        **options: the fields of `SamplingOptions`.

    Returns:
        (uint8 `[F, N, H, W, C]`, ints `[F]`): the frames, and after how many steps they are.
    """
    card = denoiser.card
    kept = _kept(card, frames, show, SamplingOptions(**options))
    frames_of = {number: [] for number in kept.tolist()}
    if 0 in frames_of:
        frames_of[0].append(to_uint8(initial_latents(seeds, card.image_shape)))

    def keep(index, t, x, x0):
        if index + 1 in frames_of:
            frames_of[index + 1].append(to_uint8(x if show == "image" else x0))

    sample(
        denoiser, labels, seeds, batch_size=batch_size, progress=progress, callback=keep, **options
    )
    return np.stack([np.concatenate(batches) for batches in frames_of.values()]), kept


def _kept(card, frames, show, options):
    """After how many steps the frames are: ints, from the first to the last."""
    steps = options.resolve(card).steps
    first = 0 if show == "image" else 1
    return np.unique(np.linspace(first, steps, min(frames, steps + 1 - first)).round().astype(int))


@dataclass(frozen=True)
class FilmOutput(Output):
    """Files to write.

    Args:
        out: GIF.
        strip: PNG, JPEG or WebP file, one row per image, noise on the left; by default the GIF's
            name with the suffix .png.
    """

    strip: Path | None = None


def main(
    artifact: Model,
    labels: LabelsOrAll = None,
    per_label: Positive = 1,
    seed: int = 0,
    frames: Positive = 50,
    show: Literal["image", "prediction"] = "image",
    trust: Trust = False,
    output: FilmOutput = FilmOutput("film.gif"),
    sampling: Sampling = Sampling(),
) -> None:
    """Shows how images appear out of noise, as a GIF and as a strip of frames.

    Args:
        labels: class names or numbers, `all` (the default), or `none` for no class; a name of a
            class comes first.
        per_label: images of each class.
        seed: seed of the first image; the next ones have seed + 1, seed + 2, ...
        frames: largest number of frames in the GIF, spread evenly over the steps.
        show: the noisy image, or the network's prediction of the clean image.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    out = choose_output(output.out, [".gif"], output.overwrite)
    strip = choose_output(output.strip or str(out.with_suffix(".png")), IMAGES, output.overwrite)
    label_of_image, seeds = labels_and_seeds(numbers, per_label, seed)
    start = time.perf_counter()
    taken, steps = film(
        denoiser, label_of_image, seeds, frames=frames, show=show, **sampling.given()
    )
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
