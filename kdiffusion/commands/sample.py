"""`python -m kdiffusion sample MODEL`: one image, a grid by class, or a film of how they appear.

And `models`, which lists the pretrained models. It imports neither TensorFlow nor Keras, unless the
file is a SavedModel or weights.
"""

import numpy as np

from kdiffusion.artifacts import load_denoiser
from kdiffusion.artifacts.released import released_models
from kdiffusion.diffusion import upsampling
from kdiffusion.diffusion.sampling import network_evaluations
from kdiffusion.diffusion.sampling import sample as sample_images
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.images import to_uint8

from .inputs import Given, LabelsOrAll, Model, Positive, Sampling, Trust, each_with_each
from .outputs import ImageOutput

# On samples that are made larger: it hides their faults (CDM, Ho et al. 2021).
NOISE_ON_SAMPLES = 0.05


def sample(
    artifact: Model,
    labels: LabelsOrAll = None,
    per_label: Positive = 8,
    seed: int = 0,
    upsample: str | None = None,
    trust: Trust = False,
    output: ImageOutput = ImageOutput("samples.png"),
    given: Given = Given(),
    sampling: Sampling = Sampling(),
) -> None:
    """Samples one image, or a grid with one row per class, from an exported file.

    Written as GIF, it shows how the images appear out of noise.

    Args:
        labels: class names or numbers, `all` (the default), or `none` for no class; a name of a
            class comes first.
        per_label: images of each class.
        seed: seed of the first image; the next ones have seed + 1, seed + 2, ...
        upsample: a model to make the images larger with, as MODEL.
    """
    denoiser = load_denoiser(artifact, trust)
    larger = None if upsample is None else load_denoiser(upsample, trust)
    if larger is not None and output.is_film:
        raise ValueError("`--upsample` must be left out of a film. Received: both")
    asked, images_given = given.read(denoiser.card), 1
    if "image" in asked:
        images_given = per_label = len(asked["image"])

    frames: dict[int, list[np.ndarray]] = {}  # step ► its images, batch by batch

    def keep(index, t, x, x0):
        frames.setdefault(index, []).append(to_uint8(x))

    def make(labels, seeds):
        conditions = each_with_each(denoiser.card, labels[::images_given], asked)
        if output.is_film:
            frames[-1] = [to_uint8(initial_latents(seeds, denoiser.card.image_shape))]
        callback = keep if output.is_film else None
        options = {"callback": callback, **sampling.given()}
        images = sample_images(denoiser, conditions, seeds, **options)
        if larger is None:
            return images
        return upsampling.upsample(larger, images, seeds, condition_noise=NOISE_ON_SAMPLES)

    how = sampling.described(denoiser.card)
    output.write_by_class(make, denoiser.card, labels, per_label, seed, how, frames=frames)


def models() -> None:
    """Lists the pretrained models: name, image size, cost of an image, data set and classes."""
    for name in released_models():
        card = load_denoiser(name).card
        height, width, _ = card.image_shape
        names = ", ".join(card.class_names)
        cost = f"{network_evaluations(card)} evaluations an image"
        print(f"{name:18} {width}x{height} pixels, {cost}, trained on {card.dataset}: {names}")
