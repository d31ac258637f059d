"""`python -m kdiffusion sample ARTIFACT`: one image, or a grid by class, from an exported file.

And `models`, which lists the pretrained models. It imports neither TensorFlow nor Keras, unless the
file is a SavedModel.
"""

import time
from pathlib import Path
from typing import Any

from kdiffusion.artifacts import load_denoiser, released_models
from kdiffusion.images import image_grid
from kdiffusion.terminal import counted

from .inputs import AS_RECOMMENDED, Labels, Model, Sampling, Trust, label_names, labels_from_text
from .outputs import choose_output, draw_by_class, write_outputs


def sample(
    artifact: Model,
    labels: Labels = ("all",),
    per_label: int = 8,
    seed: int = 0,
    scale: int | None = None,
    out: Path | None = None,
    npz: Path | None = None,
    overwrite: bool = False,
    trust: Trust = False,
    sampling: Sampling = AS_RECOMMENDED,
) -> None:
    """Samples one image, or a grid with one row per class, from an exported file.

    Args:
        labels: class names or numbers, `all`, or `none` for no class.
        per_label: images of each class.
        seed: seed of the first image; the next ones have seed + 1, seed + 2, ...
        scale: upscaling factor; by default, images become at least 48 pixels wide, and a single
            image keeps its size.
        out: PNG, JPEG or WebP file to write; by default samples.png, or samples_2.png and so on
            if that exists.
        npz: file for the arrays `images` (uint8 [N, H, W, C]), `labels` and `seeds`.
        overwrite: replace existing files.
    """
    denoiser = load_denoiser(artifact, trust)
    card = denoiser.card
    numbers = labels_from_text(labels, card.class_names)
    out = choose_output(out, "samples.png", overwrite, npz)
    start = time.perf_counter()
    images, label_of_image, seeds = draw_by_class(
        denoiser, numbers, per_label, seed, **sampling.given()
    )
    seconds = time.perf_counter() - start
    layout: dict[str, Any] = {"scale": scale, "row_labels": label_names(numbers, card.class_names)}
    if len(images) == 1:  # one image alone is written plain
        layout = {"scale": scale or 1, "padding": 0}
    arrays = {"images": images, "labels": label_of_image, "seeds": seeds}
    written = write_outputs({out: image_grid(images, per_label, **layout), npz: arrays}, overwrite)
    how = sampling.described(card)
    print(f"{counted(len(images), 'image')} ({how}) in {seconds:.1f} s: {written}")


def models() -> None:
    """Lists the pretrained models: name, image size, data set and classes."""
    for name in released_models():
        card = load_denoiser(name).card
        height, width, _ = card.image_shape
        names = ", ".join(card.class_names)
        print(f"{name:12} {width}x{height} pixels, trained on {card.dataset}: {names}")
