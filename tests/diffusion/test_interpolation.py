"""Walks: the sphere, smoothness, labels, real images."""

import numpy as np
import pytest

from kdiffusion.diffusion.interpolation import interpolate, interpolate_images, slerp
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.seeded_noise import initial_latents
from tests.diffusion.conftest import gaussian, knows_x0


def test_slerp_on_the_circle():
    fractions = [0.0, 1 / 3, 0.5, 1.0]
    points = slerp(np.array([1.0, 0.0]), np.array([0.0, 1.0]), fractions)
    angles = np.array(fractions) * np.pi / 2
    np.testing.assert_allclose(points, np.stack([np.cos(angles), np.sin(angles)], -1), atol=1e-15)


def test_slerp_keeps_the_norm_of_noise_and_its_ends():
    a, b = initial_latents([1, 2], (16, 16, 3))
    points = slerp(a, b, np.linspace(0, 1, 7))
    np.testing.assert_allclose(points[[0, -1]], [a, b], atol=1e-12)
    norms = np.linalg.norm(points.reshape(7, -1), axis=1)
    assert norms.min() > 0.98 * min(norms[0], norms[-1])
    np.testing.assert_allclose(slerp(a, a, [0.0, 0.3, 1.0]), [a, a, a], atol=1e-12)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_frames_are_of_the_noise_on_the_great_circle_between_the_seeds(sampler, make_card):
    named = {"timesteps": (999, 500), "steps": 2, "coefficients": np.eye(2, 4) / 10}
    card = make_card(sampler=sampler, **named)
    walk = interpolate(gaussian(card), 1, (7, 8), frames=5, progress=False)
    # One that draws noise gives way to ddim.
    used = "ddim" if SAMPLERS[sampler].always_random else sampler
    latents = slerp(*initial_latents([7, 8], card.image_shape), np.linspace(0, 1, 5))
    expected = sample(gaussian(card), 1, range(5), latents=latents, sampler=used, progress=False)
    np.testing.assert_allclose(walk, expected, atol=1e-6)


@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_between_two_labels(guidance, make_card):
    card = make_card(guidance_strength=guidance)
    images = np.random.default_rng(0).uniform(-0.3, 0.3, (4, 2, 3, 1))
    walk = interpolate(
        knows_x0(card, images), (0, 2), (5, 5), frames=5, batch_size=2, progress=False
    )
    fractions = np.linspace(0, 1, 5)[:, None, None, None]
    mixed = (1 - fractions) * images[0] + fractions * images[2]
    expected = (1 + guidance) * mixed - guidance * images[3]
    np.testing.assert_allclose(walk, expected, atol=2e-5)


def test_a_class_must_be_named(make_card):
    with pytest.raises(ValueError, match="`labels`"):
        interpolate(gaussian(make_card()), {}, (5, 6), progress=False)


def test_between_two_real_images(make_card):
    card = make_card(guidance_strength=2.0, sampler="ddpm")
    images = np.random.default_rng(0).uniform(-0.8, 0.8, (2, 2, 3, 1))
    walk = interpolate_images(
        gaussian(card), images, (0, 1), frames=4, steps=20, sampler="ddim",
        fixed_point_iterations=30, progress=False,
    )  # fmt: skip
    assert walk.shape == (4, 2, 3, 1)
    np.testing.assert_allclose(walk[[0, -1]], images, atol=1e-4)
