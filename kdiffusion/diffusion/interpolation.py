"""Walks between images: latents on the sphere through the deterministic sampler."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdiffusion.diffusion.conditions import Asked, Labels, check_labels
from kdiffusion.diffusion.denoiser import Denoiser, NetworkDenoiser
from kdiffusion.diffusion.inversion import INVERTIBLE, invert
from kdiffusion.diffusion.samplers import deterministic_sampler
from kdiffusion.diffusion.sampling import Callback, sample
from kdiffusion.diffusion.sampling_plan import check_images, check_seeds
from kdiffusion.diffusion.seeded_noise import initial_latents


def slerp(a: np.ndarray, b: np.ndarray, fractions: Sequence[float] | np.ndarray) -> np.ndarray:
    """Spherical interpolation (Shoemake 1985; for latents, Song et al. 2021, eq. 67).

    A straight line would pass through the middle of the sphere on which Gaussian noise lies, where
    the network has never been.

    Args:
        a: array `[...]`.
        b: array of the same shape, not opposite to `a`.
        fractions: floats `[F]`; 0 gives `a`, 1 gives `b`.

    Returns:
        float64 array `[F, ...]`.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    cosine = np.vdot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
    angle = np.arccos(np.clip(cosine, -1.0, 1.0))
    fractions = np.asarray(fractions, np.float64).reshape(-1, *(1,) * a.ndim)
    if np.sin(angle) < 1e-6:
        return (1.0 - fractions) * a + fractions * b
    return (np.sin((1.0 - fractions) * angle) * a + np.sin(fractions * angle) * b) / np.sin(angle)


def interpolate(
    denoiser: Denoiser,
    label: Asked,
    seeds: tuple[int, int],
    *,
    frames: int = 10,
    latents: np.ndarray | None = None,
    sampler: str | None = None,
    **options: Any,
) -> np.ndarray:
    """Interpolates between the images of two seeds (Song et al. 2021, section 5.3).

    With a deterministic sampler an image is a smooth function of its latent; one that adds fresh
    noise to every frame makes unlike images of neighbouring latents.

    Args:
        denoiser: a Denoiser.
        label: a class, by number or name, or two to interpolate between, by mixing their
            predictions. Or a dict of all conditions, as for `check_conditions`, each of whose
            numbers may be two to interpolate between.
        seeds: two ints; if they are equal, only the conditions change.
        frames: int, at least 2, both ends included. Defaults to `10`.
        latents: array `[2, H, W, C]` to interpolate between, instead of those of the seeds.
        sampler: str. Defaults to the card's if it is deterministic, "ddim" otherwise.
        **options: as in `sample`.

    Returns:
        float32 array `[frames, H, W, C]`.
    """
    card = denoiser.card
    ends = initial_latents(check_seeds(seeds), card.image_shape) if latents is None else latents
    sampler = deterministic_sampler(sampler, card.sampler, options.get("eta"))
    fractions = np.linspace(0.0, 1.0, frames)
    asked: Any = dict(label) if isinstance(label, Mapping) else {"label": label}
    if asked.get("numbers") is not None:
        ends_of = {name: np.broadcast_to(each, 2) for name, each in asked["numbers"].items()}
        asked["numbers"] = {name: np.linspace(a, b, frames) for name, (a, b) in ends_of.items()}
    if np.ndim(asked.get("label", 0)):
        denoiser = mix_labels(denoiser, np.asarray(asked["label"]), fractions)
        asked["label"] = np.arange(frames)
    latents = slerp(ends[0], ends[1], fractions)
    return sample(denoiser, asked, [seeds[0]] * frames, latents=latents, sampler=sampler, **options)


def interpolate_images(
    denoiser: Denoiser,
    images: np.ndarray,
    label: Asked,
    *,
    frames: int = 10,
    fixed_point_iterations: int = 5,
    callback: Callback | None = None,
    **options: Any,
) -> np.ndarray:
    """Interpolates between two real images, by their latents (`invert`, then `interpolate`).

    Args:
        images: float array `[2, H, W, C]` in the value range.
        label: a class, by number or name, or one for each image; or all conditions, as for
            `interpolate`.
        frames: int, at least 2, both ends included. Defaults to `10`.
        fixed_point_iterations: int. As in `invert`.
        callback: as in `sample`.
        **options: as in `invert`.

    Returns:
        float32 array `[frames, H, W, C]`; the first and last are nearly the images.
    """
    options = {**INVERTIBLE, **options}
    images = check_images(denoiser.card, images, 2)
    latents = invert(
        denoiser, images, label, fixed_point_iterations=fixed_point_iterations, **options
    )
    return interpolate(
        denoiser, label, (0, 0), frames=frames, latents=latents, callback=callback, **options
    )


def mix_labels(denoiser: Denoiser, labels: Labels, fractions: np.ndarray) -> Denoiser:
    """A Denoiser whose class i is (1 - f_i) of one label's prediction and f_i of another's.

    Args:
        denoiser: a Denoiser.
        labels: two classes, by number or name.
        fractions: floats `[F]`, f_i from 0 to 1.

    Returns:
        The Denoiser, of twice the cost; its card has F classes. Guidance works as ever: no class
        stays no class.
    """
    card = denoiser.card
    labels = check_labels(card, labels, 2)
    names = tuple(f"mixture {i}" for i in range(len(fractions)))
    fractions = np.append(fractions, 0.0)  # the last row is that of no class
    ends = np.array([*[labels] * len(names), [card.null_label] * 2], np.int32)  # [F + 1, 2]

    def mixed(noisy_image, timestep, label, **more):
        prediction = denoiser(
            np.concatenate([noisy_image, noisy_image]),
            np.concatenate([timestep, timestep]),
            np.concatenate([ends[label, 0], ends[label, 1]]),
            **{name: np.concatenate([each, each]) for name, each in more.items()},
        )
        at_first, at_second = np.split(np.asarray(prediction), 2)
        fraction = fractions[label].reshape(-1, 1, 1, 1).astype(at_first.dtype)
        return (1 - fraction) * at_first + fraction * at_second

    card = dataclasses.replace(card, class_names=names, null_label=len(names))
    return NetworkDenoiser(card, mixed)
