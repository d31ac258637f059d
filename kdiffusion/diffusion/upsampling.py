"""Larger images by a model that is conditioned on small ones, tile by tile."""

from typing import Any

import numpy as np

from kdiffusion.condition_images import enlarged, factor_of
from kdiffusion.diffusion.conditions import Conditions, Integers, Labels, check_labels
from kdiffusion.diffusion.denoiser import Denoiser, as_denoiser
from kdiffusion.diffusion.samplers import deterministic_sampler
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.sampling_plan import check_seeds
from kdiffusion.diffusion.seeded_noise import ImageNoise


def upsample(
    denoiser: Denoiser,
    images: np.ndarray,
    seeds: Integers | None = None,
    labels: Labels = 0,
    *,
    condition_noise: float = 0.0,
    overlap: float = 0.25,
    sampler: str | None = None,
    **options: Any,
) -> np.ndarray:
    """Samples a larger image of each small one (SR3, Saharia et al. 2021).

    An image that is larger than the model's is sampled in tiles. Those of an image start from parts
    of one noise, so that they agree where they overlap, and are blended there.

    Args:
        denoiser: a Denoiser, or a `DiffusionModel`, conditioned on `downsampled_2` or
            `downsampled_4` images.
        images: float array `[N, h, w, C]` in the value range.
        seeds: ints `[N]`. Defaults to 0, 1, ...
        labels: classes `[N]`, or one for all. Defaults to `0`, the one class of most upsamplers.
        condition_noise: float. Standard deviation of the noise that is added to the small images,
            brought to size: some 0.05 where a model has sampled them, which hides its faults from a
            model that was trained so (CDM, Ho et al. 2021). Defaults to `0.0`.
        overlap: float in [0, 1). Share of a tile that its neighbour has, too. Defaults to `0.25`.
        sampler: str. Defaults to the card's if it is deterministic, "ddim" otherwise.
        **options: as in `sample`.

    Returns:
        float32 array `[N, H, W, C]`, 2 or 4 times as high and wide.

    Raises:
        ValueError: a model of another kind, or a sampler that adds noise, with which tiles differ.
    """
    denoiser = as_denoiser(denoiser)
    card, (height, width, _) = denoiser.card, denoiser.card.image_shape
    if card.image is None or (factor := factor_of(card.image.meaning)) is None:
        raise ValueError("`denoiser` must be conditioned on downsampled images. It is not")
    seeds = check_seeds(seeds, len(images))
    rows, columns = (factor * side for side in images.shape[1:3])
    beyond = max(height - rows, 0), max(width - columns, 0)  # of an image smaller than a tile
    padding = [(0, 0), *((0, -(-pixels // factor)) for pixels in beyond), (0, 0)]
    large = enlarged(np.pad(images, padding, mode="edge"), factor)
    noise = ImageNoise(seeds, large.shape[1:])
    latents = noise.normal()
    if condition_noise:
        large = large + condition_noise * noise.normal()
    corners = [
        (top, left)
        for top in _starts(large.shape[1], height, overlap)
        for left in _starts(large.shape[2], width, overlap)
    ]

    def tiles(whole):
        """`[N * tiles, height, width, C]`, image by image."""
        parts = [whole[:, top : top + height, left : left + width] for top, left in corners]
        return np.stack(parts, axis=1).reshape(-1, height, width, whole.shape[-1])

    labels = np.repeat(check_labels(card, labels, len(seeds)), len(corners))
    asked = Conditions(labels, image=tiles(large).astype(np.float32))
    seeds = np.repeat(np.array(seeds, np.uint64), len(corners))
    options["sampler"] = deterministic_sampler(sampler, card.sampler, options.get("eta"))
    sampled = sample(denoiser, asked, seeds, latents=tiles(latents), **options)
    sampled = sampled.reshape(len(images), len(corners), *sampled.shape[1:])
    return _blended(sampled, corners, overlap)[:, :rows, :columns]


def _blended(tiles, corners, overlap):
    """Images `[N, H, W, C]` of tiles `[N, T, h, w, C]` by their corners, (top, left) of each."""
    count, _, height, width, channels = tiles.shape
    last = np.max(corners, axis=0)
    rows, columns = last[0] + height, last[1] + width
    total, weight = np.zeros((count, rows, columns, channels)), np.zeros((rows, columns))
    fade = np.outer(_fade(height, overlap), _fade(width, overlap))
    for number, (top, left) in enumerate(corners):
        place = slice(top, top + height), slice(left, left + width)
        total[:, *place] += fade[..., None] * tiles[:, number]
        weight[place] += fade
    return (total / weight[..., None]).astype(np.float32)


def _starts(size, side, overlap):
    """Where the tiles of one axis begin, of which the last one ends with it."""
    return [*range(0, size - side, side - int(overlap * side)), size - side]


def _fade(side, overlap):
    """The weight of each pixel of a tile: a ramp over the overlap at both ends."""
    ramp = np.arange(1, side + 1) / (int(overlap * side) + 1)
    return np.minimum(np.minimum(ramp, ramp[::-1]), 1.0)
