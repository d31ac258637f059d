"""Inversion: there and back, against the closed form, and what has no inverse."""

import numpy as np
import pytest

from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.inversion import invert
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.schedules import SCHEDULES, make_schedule
from kdiffusion.diffusion.spacing import SPACINGS, timestep_pairs
from tests.cases import side_by_side
from tests.diffusion.conftest import exact_path, gaussian

IMAGES = np.random.default_rng(0).uniform(-0.9, 0.9, (3, 2, 3, 1))


@pytest.mark.parametrize(("spacing", "schedule"), side_by_side(SPACINGS, SCHEDULES))
@pytest.mark.parametrize("zero_snr", [False, True])
def test_sampling_from_the_latent_returns_the_image(spacing, schedule, zero_snr, make_card):
    """Where the first step is from pure noise, too."""
    denoiser = gaussian(make_card(make_schedule(schedule, 1000, zero_snr), prediction_type="v"))
    options = {"spacing": spacing, "steps": 20, "clip": False, "progress": False}
    latents = invert(
        denoiser, IMAGES, [0, 1, 2], batch_size=2, fixed_point_iterations=30, **options
    )
    images = sample(
        denoiser, [0, 1, 2], latents=latents, sampler="ddim", guidance_strength=0.0, **options
    )
    np.testing.assert_allclose(images, IMAGES, atol=1e-4)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_network_that_errs_is_inverted_as_it_is_sampled(schedule, make_card):
    """Near pure noise the error in x_0 is hundreds of ranges: the defaults must clip it away."""
    card = make_card(make_schedule(schedule, 1000), steps=50)
    denoiser = erring(card)
    latents = invert(denoiser, IMAGES, 0, progress=False)
    images = sample(denoiser, 0, [0, 0, 0], latents=latents, progress=False)
    np.testing.assert_allclose(images, IMAGES, atol=1 / 255)


@pytest.mark.parametrize("guidance", [0.0, 3.0])
def test_latents_larger_than_noise_are_found_too(guidance, make_card):
    """The images are far from their class, the more so the stronger the guidance."""
    card = make_card(make_schedule("cosine", 1000), prediction_type="v", steps=50)
    of_class, of_null = gaussian(card, -0.6, 0.3), gaussian(card, 0.0, 0.7)

    def network(x, t, label):
        is_null = (label == card.null_label)[:, None, None, None]
        return np.where(is_null, of_null(x, t, label), of_class(x, t, label))

    denoiser = NetworkDenoiser(card, network)
    options = {"guidance_strength": guidance, "progress": False}
    latents = invert(denoiser, IMAGES, 1, **options)
    images = sample(denoiser, 1, [0, 0, 0], latents=latents, **options)
    assert np.sqrt(np.mean(latents**2)) > 3
    np.testing.assert_allclose(images, IMAGES, atol=2e-4)


def erring(card):
    """Near pure noise its error in x_0 is hundreds of ranges."""
    return NetworkDenoiser(
        card, lambda x, t, label: gaussian(card)(x, t, label) + 0.02 * np.sin(3 * x)
    )


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_one_iteration_is_the_original(schedule, make_card):
    """Song et al. 2021, section 4.3, written out: the noise predicted at x_s leads on to x_t."""
    card = make_card(make_schedule(schedule, 1000), steps=50)
    denoiser = erring(card)
    x = IMAGES
    for t, s in reversed(timestep_pairs(card.schedule, 50)):
        signal_t, signal_s = (np.sqrt(card.schedule.alpha_bar(each)) for each in (t, s))
        eps = denoiser(x.astype(np.float32), np.full(3, t), np.zeros(3, int))
        x0 = (x - np.sqrt(1 - signal_s**2) * eps) / signal_s
        x = signal_t * x0 + np.sqrt(1 - signal_t**2) * eps
    latents = invert(denoiser, IMAGES, 0, fixed_point_iterations=1, clip=False, progress=False)
    np.testing.assert_allclose(latents, x, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("error", [0.02, 0.1])
def test_an_iteration_that_diverges_is_held(error, make_card):
    """Unguarded, a step near pure noise multiplies the latent twelvefold and more."""
    card = make_card(make_schedule("cosine", 1000), steps=50)

    def network(x, t, label):
        return gaussian(card)(x, t, label) + error * np.tanh(30 * x)

    denoiser = NetworkDenoiser(card, network)
    latents = invert(denoiser, IMAGES, 0, fixed_point_iterations=20, clip=False, progress=False)
    assert 0.5 < latents.std() < 3


def test_latents_of_gaussian_data_are_the_flows(make_card):
    card = make_card()
    latents = invert(
        gaussian(card, 0.2, 0.4), IMAGES, 0, steps=1000, fixed_point_iterations=2, clip=False,
        progress=False,
    )  # fmt: skip
    expected = exact_path(card.schedule, 0.2, 0.4, IMAGES, -1, 999)
    np.testing.assert_allclose(latents, expected, rtol=5e-3)


@pytest.mark.parametrize("options", [{"eta": 0.5}, {"sampler": "dpmpp_2m"}, {"sampler": "ddpm"}])
def test_only_ddim_has_an_inverse(options, make_card):
    with pytest.raises(ValueError, match="`sampler` must be 'ddim'"):
        invert(gaussian(make_card()), IMAGES, 0, progress=False, **options)
