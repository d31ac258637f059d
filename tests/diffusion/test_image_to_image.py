"""Image to image: how much is kept, and where it starts."""

import numpy as np
import pytest

from kdiffusion.diffusion.editing import image_to_image
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.seeded_noise import initial_latents
from tests.diffusion.conftest import gaussian, knows_x0, watched

IMAGES = np.random.default_rng(0).uniform(-0.9, 0.9, (3, 2, 3, 1))


def run(denoiser, strength, images=IMAGES, **options):
    return image_to_image(
        denoiser, images, [0, 1, 2], [5, 6, 7], strength=strength, progress=False,
        **options,
    )  # fmt: skip


def test_it_starts_from_the_image_noised_to_the_level(make_card):
    card, seen = make_card(), []
    run(watched(gaussian(card), seen), 0.4, steps=5)
    assert [t for _, t, _ in seen] == [399, 319, 239, 159, 79]
    noise = initial_latents([5, 6, 7], card.image_shape)
    start = card.schedule.q_sample(IMAGES, 399, noise)
    np.testing.assert_allclose(seen[0][0], start, atol=1e-6)


def test_named_timesteps_above_the_noise_level_are_left_out(make_card):
    coefficients = [(0.1, 0.0, 0.0, 0.0), (0.1, 0.0, 0.2, 0.0), (0.1, 0.0, 0.0, 0.3)]
    named = {"timesteps": (999, 640, 320), "steps": 3, "coefficients": coefficients}
    card, seen = make_card(sampler="fitted", **named), []
    fitted = run(watched(gaussian(card), seen), 0.7)
    assert [t for _, t, _ in seen] == [640, 320]
    # Neither step has the history that its row is for.
    ddim = run(gaussian(card), 0.7, sampler="ddim")
    np.testing.assert_array_equal(fitted, ddim)
    with pytest.raises(ValueError, match="`timesteps` must fall"):
        run(gaussian(card), 0.2)


def test_steps_the_card_recommends_are_capped_and_one_image_serves_all_seeds(make_card):
    card = make_card(steps=500)
    images = run(gaussian(card), 0.002, images=IMAGES[0], batch_size=2)
    assert images.shape == (3, 2, 3, 1)
    assert not np.array_equal(images[0], images[1])
    np.testing.assert_array_equal(images, run(gaussian(card), 0.002, images=IMAGES[[0, 0, 0]]))
    run(gaussian(card), 0.01, spacing="karras")


@pytest.mark.parametrize("strength", [-1, 0, 1.5, np.nan])
def test_the_strength_is_a_share(strength, make_card):
    with pytest.raises(ValueError, match="`strength`"):
        run(gaussian(make_card()), strength)


@pytest.mark.parametrize("sampler", [name for name, row in SAMPLERS.items() if not row.fitted])
def test_each_variation_is_of_its_own_label(sampler, make_card):
    card = make_card()
    known = np.random.default_rng(1).uniform(-1, 1, (4, 2, 3, 1))
    images = image_to_image(
        knows_x0(card, known), np.zeros((2, 3, 1)), [2, 0, 3], [5, 6, 7], strength=0.8,
        sampler=sampler, batch_size=2, progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(images, known[[2, 0, 3]], atol=1e-5)
