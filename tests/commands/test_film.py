"""The frames of a film are the images on their way."""

import numpy as np
import pytest

from kdiffusion import load_denoiser, sample, to_uint8
from kdiffusion.commands.film import film
from kdiffusion.diffusion.seeded_noise import initial_latents


@pytest.mark.parametrize("batch_size", [2, 64])
@pytest.mark.parametrize(("frames", "kept"), [(4, [0, 2, 3, 5]), (99, [*range(6)])])
def test_the_frames_are_what_the_callback_sees_after_the_noise(toy, card, batch_size, frames, kept):
    denoiser, seeds = load_denoiser(toy), [3, 4, 5]
    options = {"sampler": "ddpm", "steps": 5, "progress": False}
    seen = [to_uint8(initial_latents(seeds, card.image_shape))]
    sample(
        denoiser, [0, 1, 2], seeds, **options,
        callback=lambda index, t, x, x0: seen.append(to_uint8(x)),
    )  # fmt: skip
    found, steps = film(denoiser, [0, 1, 2], seeds, frames, batch_size=batch_size, **options)
    assert steps.tolist() == kept
    np.testing.assert_array_equal(found, np.stack(seen)[kept])
