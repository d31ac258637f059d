"""The frames of a film are the images on their way."""

import numpy as np
import pytest

from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands.film import film, main
from kdiffusion.commands.sampling_flags import SamplingFlags
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.images import to_uint8


@pytest.fixture
def denoiser(toy):
    return load_denoiser(toy)


@pytest.mark.parametrize("batch_size", [2, 64])
@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "heun", "dpmpp_2m"])
def test_a_film_begins_with_noise_and_ends_with_the_image(denoiser, card, sampler, batch_size):
    labels, seeds, options = [0, 1, 2], [3, 4, 5], {"sampler": sampler, "progress": False}
    frames, steps = film(denoiser, labels, seeds, frames=4, batch_size=batch_size, **options)
    assert steps.tolist() == [0, 2, 3, 5]  # of the card's 5
    assert frames.shape == (4, 3, *card.image_shape)
    np.testing.assert_array_equal(frames[0], to_uint8(initial_latents(seeds, card.image_shape)))
    images = to_uint8(sample(denoiser, labels, seeds, **options))
    np.testing.assert_array_equal(frames[-1], images)


@pytest.mark.parametrize("show", ["image", "prediction"])
def test_each_frame_is_what_the_callback_sees(denoiser, show):
    seen = []
    sample(
        denoiser, [1], [7], steps=6, progress=False,
        callback=lambda index, t, x, x0: seen.append(to_uint8(x if show == "image" else x0)),
    )  # fmt: skip
    frames, steps = film(denoiser, [1], [7], frames=100, show=show, steps=6, progress=False)
    assert steps.tolist() == [*([0] if show == "image" else []), 1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(frames[-6:], seen)


def test_the_command_takes_every_sampling_flag(toy, tmp_path):
    flags = SamplingFlags(batch_size=2, steps=3, sampler="ddim", guidance_strength=0.0)
    main(toy, sampling=flags, out=tmp_path / "film.gif")
    assert (tmp_path / "film.gif").is_file()


def test_a_film_that_is_called_an_image_is_refused_by_its_name(tmp_path):
    with pytest.raises(ValueError, match=r"name of a film must end in one of \.gif"):
        main("never opened", out=tmp_path / "film.png")


def test_a_film_of_one_frame_is_refused(denoiser):
    with pytest.raises(ValueError, match="`frames`"):
        film(denoiser, [1], [7], frames=1)
