"""The frames of a film are the images on their way."""

import numpy as np
import pytest

from kdiffusion import load_denoiser, sample, to_uint8
from kdiffusion.commands.film import film
from kdiffusion.diffusion.seeded_noise import initial_latents


@pytest.mark.parametrize("batch_size", [2, 64])
@pytest.mark.parametrize("sampler", ["ddpm", "heun", "dpmpp_2m"])
def test_a_film_begins_with_noise_and_ends_with_the_image(toy, card, sampler, batch_size):
    labels, seeds, options = [0, 1, 2], [3, 4, 5], {"sampler": sampler, "progress": False}
    denoiser = load_denoiser(toy)
    frames, steps = film(denoiser, labels, seeds, frames=4, batch_size=batch_size, **options)
    assert steps.tolist() == [0, 2, 3, 5]  # of the card's 5
    assert frames.shape == (4, 3, *card.image_shape)
    np.testing.assert_array_equal(frames[0], to_uint8(initial_latents(seeds, card.image_shape)))
    images = to_uint8(sample(denoiser, labels, seeds, **options))
    np.testing.assert_array_equal(frames[-1], images)


@pytest.mark.parametrize("show", ["image", "prediction"])
def test_each_frame_is_what_the_callback_sees(toy, show):
    denoiser, seen = load_denoiser(toy), []
    sample(
        denoiser, [1], [7], steps=6, progress=False,
        callback=lambda index, t, x, x0: seen.append(to_uint8(x if show == "image" else x0)),
    )  # fmt: skip
    frames, steps = film(denoiser, [1], [7], frames=100, show=show, steps=6, progress=False)
    assert steps.tolist() == [*([0] if show == "image" else []), 1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(frames[-6:], seen)
