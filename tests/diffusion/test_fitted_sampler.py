"""A fitted sampler where the exact image is known, and what its timesteps are chosen by."""

import itertools

import numpy as np
import pytest

from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.fitted_sampler import FIRST_SEED, best_path, fit_sampler
from kdiffusion.diffusion.sampling import network_evaluations, sample
from kdiffusion.diffusion.seeded_noise import initial_latents
from tests.diffusion.conftest import exact_path, gaussian, watched

MEAN = np.linspace(-0.5, 0.5, 6).reshape(2, 3, 1)
STD = np.linspace(0.05, 0.9, 6).reshape(2, 3, 1)  # no four numbers are exact for all pixels


@pytest.mark.parametrize("steps", [3, 6])
def test_it_is_nearer_to_the_exact_image_than_unipc_in_as_many_steps(make_card, steps):
    card = make_card(clip=False)
    denoiser = gaussian(card, MEAN, STD)
    fitted = fit_sampler(denoiser, steps, seeds=64, progress=False)
    assert (fitted.sampler, fitted.steps, len(fitted.coefficients)) == ("fitted", steps, steps)

    def error(seeds, **options):
        labels = [0] * len(seeds)
        images = sample(NetworkDenoiser(fitted, denoiser), labels, seeds, progress=False, **options)
        latents = initial_latents(seeds, card.image_shape)
        exact = exact_path(card.schedule, MEAN, STD, latents, 999, -1)
        return np.sqrt(np.mean((images - exact) ** 2))

    held_out, fitted_to = range(64), range(FIRST_SEED, FIRST_SEED + 64)
    assert error(held_out) < 0.5 * error(held_out, sampler="unipc", steps=steps)
    assert error(held_out) < 0.5 * error(held_out, sampler="unipc", timesteps=fitted.timesteps)
    assert error(held_out) < 1.5 * error(fitted_to)


def test_guidance_is_inside_and_counted(make_card):
    card = make_card(guidance_strength=1.0, guidance_interval=(0.25, 4.0))
    calls = []
    denoiser = watched(gaussian(card), calls)
    fitted = fit_sampler(denoiser, 4, seeds=6, batch_size=3, progress=False)
    levels = card.schedule.noise_levels
    guided = [0.25 < levels[t] <= 4 for t in fitted.timesteps]
    assert network_evaluations(fitted) == 4 + sum(guided)
    for _, t, labels in calls:
        assert sorted(labels) == ([0, 1, 2, 3, 3, 3] if 0.25 < levels[t] <= 4 else [0, 1, 2])


def test_the_path_is_the_best_of_all():
    errors = np.random.default_rng(0).uniform(size=(8, 8))
    errors[np.tril_indices(8)] = np.inf
    for steps in range(1, 8):
        every = [(0, *middle, 7) for middle in itertools.combinations(range(1, 7), steps - 1)]
        totals = [sum(errors[i, j] for i, j in itertools.pairwise(path)) for path in every]
        assert best_path(errors, steps) == [*every[np.argmin(totals)]]
