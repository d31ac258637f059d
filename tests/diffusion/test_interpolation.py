"""Walks: the sphere, smoothness, labels, real images."""

import numpy as np
import pytest

from kdiffusion.diffusion.interpolation import interpolate, interpolate_images, slerp
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.seeded_noise import initial_latents

DETERMINISTIC = [name for name, sampler in SAMPLERS.items() if not sampler.always_random]


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


@pytest.mark.parametrize("sampler", DETERMINISTIC)
def test_neighbours_are_alike_and_more_alike_as_frames_are_added(sampler, make_card, gaussian):
    named = {"timesteps": (999, 500), "steps": 2, "coefficients": np.eye(2, 4) / 10}
    card = make_card(image_shape=(8, 8, 3), sampler=sampler, **named)
    denoiser = gaussian(card)
    independent = sample(denoiser, [0] * 10, range(10), progress=False)
    apart = np.abs(np.diff(independent, axis=0)).mean()
    between = []
    for frames in (10, 20, 40):
        walk = interpolate(denoiser, 0, (1, 2), frames=frames, progress=False)
        assert walk.shape == (frames, 8, 8, 3)
        between.append(np.abs(np.diff(walk, axis=0)).mean())
    assert between[0] < apart / 4
    assert between[1] == pytest.approx(between[0] * 9 / 19, rel=0.1)
    assert between[2] == pytest.approx(between[0] * 9 / 39, rel=0.1)


def test_ends_are_the_images_of_the_seeds(make_card, gaussian):
    card = make_card(sampler="ddpm")  # not deterministic: ddim takes its place
    walk = interpolate(gaussian(card), 1, (7, 8), frames=3, progress=False)
    ends = sample(gaussian(card), [1, 1], [7, 8], sampler="ddim", progress=False)
    np.testing.assert_allclose(walk[[0, -1]], ends, atol=1e-6)


@pytest.mark.parametrize("guidance", [0.0, 1.5])
def test_between_two_labels(guidance, make_card, knows_x0):
    card = make_card(guidance_strength=guidance)
    images = np.random.default_rng(0).uniform(-0.3, 0.3, (4, 2, 3, 1))
    walk = interpolate(
        knows_x0(card, images), (0, 2), (5, 5), frames=5, batch_size=2, progress=False
    )
    fractions = np.linspace(0, 1, 5)[:, None, None, None]
    mixed = (1 - fractions) * images[0] + fractions * images[2]
    expected = (1 + guidance) * mixed - guidance * images[3]
    np.testing.assert_allclose(walk, expected, atol=2e-5)


def test_between_two_real_images(make_card, gaussian):
    card = make_card(guidance_strength=2.0, sampler="ddpm")
    images = np.random.default_rng(0).uniform(-0.8, 0.8, (2, 2, 3, 1))
    walk = interpolate_images(
        gaussian(card), images, (0, 1), frames=4, steps=20, sampler="ddim",
        fixed_point_iterations=30, progress=False,
    )  # fmt: skip
    assert walk.shape == (4, 2, 3, 1)
    np.testing.assert_allclose(walk[[0, -1]], images, atol=1e-4)
