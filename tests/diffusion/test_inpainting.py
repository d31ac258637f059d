"""Inpainting: the kept pixels, RePaint's way, and the distribution of what is painted."""

import numpy as np
import pytest

from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.editing import inpaint, repaint_moves
from kdiffusion.diffusion.samplers import SAMPLERS
from tests.diffusion.conftest import gaussian, knows_x0, watched

IMAGES = np.random.default_rng(0).uniform(-0.9, 0.9, (3, 2, 3, 1))
MASK = np.array([[1, 0, 1], [0, 0, 1]], bool)
ONE_STEP = [name for name, sampler in SAMPLERS.items() if not sampler.multistep]


def run(denoiser, **changes):
    arguments = {"images": IMAGES, "keep_mask": MASK, "labels": [0, 1, 2], "seeds": [5, 6, 7]}
    return inpaint(denoiser, **{**arguments, "progress": False, **changes})


@pytest.mark.parametrize("sampler", ONE_STEP)
def test_kept_pixels_are_kept_and_the_others_are_the_models(sampler, make_card):
    card = make_card()
    known = np.random.default_rng(1).uniform(-1, 1, (4, 2, 3, 1))
    images = run(knows_x0(card, known), sampler=sampler, batch_size=2)
    np.testing.assert_array_equal(images[:, MASK], IMAGES[:, MASK].astype(np.float32))
    np.testing.assert_allclose(images[:, ~MASK], known[:3, ~MASK], atol=1e-5)


def test_the_way_down_and_back_up():
    assert repaint_moves(4, 1, 2) == [(4, 3), (3, 2), (2, 1), (1, 0)]
    assert repaint_moves(4, 2, 2) == [
        (4, 3), (3, 2), (2, 1), (1, 3), (3, 2), (2, 1), (1, 0),
    ]  # fmt: skip
    assert repaint_moves(3, 3, 1) == [
        (3, 2), (2, 3), (3, 2), (2, 3), (3, 2), (2, 1), (1, 2), (2, 1), (1, 2), (2, 1), (1, 0),
    ]  # fmt: skip
    assert repaint_moves(2, 5, 10) == [(2, 1), (1, 0)]


def test_resampling_brings_the_painted_pixel_into_harmony(make_card):
    """Two pixels that are equal in all data: given one, the other must come out the same.

    Without resampling the painted pixel learns too little of the kept one.
    """
    card = make_card(image_shape=(1, 2, 1))
    covariance = 0.5**2 + 0.05**2 * np.eye(2)
    variances, axes = np.linalg.eigh(covariance)
    along_axes = gaussian(card, 0.0, np.sqrt(variances)[:, None])

    def network(noisy_image, timestep, label):
        """Along the axes of their covariance the two are independent, and so is their noise."""
        turned = np.einsum("bhic,ij->bhjc", noisy_image, axes)
        return np.einsum("bhjc,ij->bhic", along_axes(turned, timestep, label), axes)

    denoiser = NetworkDenoiser(card, network)
    kept = np.linspace(-0.8, 0.8, 100)
    known = np.stack([kept, np.zeros(100)], axis=1).reshape(100, 1, 2, 1)
    # Given one pixel the other is normal about (nearly) the same value.
    own_variance = covariance[1, 1] - covariance[0, 1] ** 2 / covariance[0, 0]
    best = np.sqrt(own_variance * 2 / np.pi)

    def error(resamplings):
        images = inpaint(
            denoiser, known, np.array([[1, 0]]), 0, range(100), steps=250,
            resamplings=resamplings, jump_steps=5, batch_size=100, progress=False,
        )  # fmt: skip
        return np.abs(images[:, 0, 1, 0] - kept).mean()

    assert error(1) > 1.7 * best
    assert error(6) < 1.2 * best


def test_callback_and_progress_follow_the_moves(make_card, capsys):
    card, seen = make_card(), []
    run(
        gaussian(card), steps=4, resamplings=2, jump_steps=2, progress=True,
        callback=lambda index, t, x, x0: seen.append((index, t)),
    )  # fmt: skip
    assert seen == [(0, 749), (1, 499), (2, 249), (3, 499), (4, 249), (5, -1)]
    assert "7/7" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("images", IMAGES * 200), ("sampler", "unipc")])
def test_what_would_paint_wrongly_is_refused(name, value, make_card):
    with pytest.raises(ValueError, match=f"`{name}`"):
        run(gaussian(make_card()), **{name: value})


def test_kept_pixels_are_noised_to_the_level_that_the_others_are_at(make_card):
    """RePaint, line 4: of many images, what the network sees of a kept pixel is q(x_s | x_0)."""
    card, seen = make_card(image_shape=(1, 2, 1)), []
    inpaint(
        watched(gaussian(card), seen), np.full((1, 2, 1), 0.8), np.array([[1, 0]]), 0,
        range(4000), steps=10, resamplings=1, batch_size=4000, progress=False,
    )  # fmt: skip
    for x, t, _ in seen[1:]:
        pixel, alpha_bar = x[:, 0, 0, 0], card.schedule.alpha_bar(t)
        assert pixel.mean() == pytest.approx(0.8 * np.sqrt(alpha_bar), abs=0.07)
        assert pixel.var() == pytest.approx(1 - alpha_bar, rel=0.12)


def test_few_steps_go_in_groups_of_fewer(make_card):
    """As those of a student, which takes four."""
    denoiser = gaussian(make_card(steps=4, timesteps=(999, 640, 320, 90)))
    expected = run(denoiser, resamplings=3, jump_steps=3)
    np.testing.assert_array_equal(run(denoiser, resamplings=3, jump_steps=5), expected)
    assert not np.array_equal(run(denoiser, resamplings=1), expected)
    run(denoiser, steps=1, resamplings=3)
