"""The loop: batches, seeds, steps, options."""

import warnings

import numpy as np
import pytest

from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import (
    network_evaluations,
    sample,
    sample_by_class,
    sampling_steps,
)
from kdiffusion.diffusion.seeded_noise import initial_latents
from tests.diffusion.conftest import gaussian, knows_x0, watched

TIMESTEPS = (999, 640, 320, 90)
FITTED = {"timesteps": TIMESTEPS, "steps": 4, "coefficients": np.eye(4) / 10}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_an_image_does_not_depend_on_its_batch(sampler, guidance, make_card):
    card = make_card(guidance_strength=guidance, **FITTED)
    denoiser = knows_x0(card, np.random.default_rng(0).uniform(-1, 1, (4, 2, 3, 1)))
    labels, seeds = [0, 1, 2, 3, 0], [5, 4, 3, 2, 1]
    images = [
        sample(denoiser, labels, seeds, sampler=sampler, batch_size=size, progress=False)
        for size in (1, 2, 64)
    ]
    assert images[0].shape == (5, 2, 3, 1)
    assert images[0].dtype == np.float32
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])
    third = sample(denoiser, [2], [3], sampler=sampler, progress=False)
    np.testing.assert_array_equal(third[0], images[0][2])


def test_the_card_recommends_and_the_user_decides(make_card):
    card = make_card(sampler="ddpm", steps=7, guidance_strength=1.5)

    def run(**options):
        return sample(gaussian(card), [0], [0], progress=False, **options)

    np.testing.assert_array_equal(run(), run(sampler="ddpm", steps=7, guidance_strength=1.5))
    assert not np.array_equal(run(), run(sampler="ddim"))
    assert not np.array_equal(run(), run(variance="fixed_large"))


@pytest.mark.parametrize("unknown", [{"guidance_strength": 1.0}, {"steps": 3}, {}])
def test_a_student_asked_for_what_it_has_not_learned_warns(unknown, make_card):
    student = gaussian(make_card(timesteps=TIMESTEPS, steps=4, guidance_strength=0.0))
    with warnings.catch_warnings(record=True) as caught:
        sample(student, [0], progress=False, **unknown)
    assert ["student" in str(each.message) for each in caught] == [True] * len(unknown)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("guidance", [0.0, 2.0])
def test_network_evaluations_are_what_is_really_spent(sampler, guidance, make_card):
    card, seen = make_card(**FITTED), []
    options = {"sampler": sampler, "guidance_strength": guidance}
    sample(watched(gaussian(card), seen), [0, 1, 2], progress=False, **options)
    assert sum(len(labels) for *_, labels in seen) == 3 * network_evaluations(card, **options)


def test_callback_sees_every_step_of_every_batch(make_card):
    card, seen = make_card(), []
    images = sample(
        gaussian(card), [0, 0, 0], [0, 1, 2], steps=4, batch_size=2, progress=False,
        callback=lambda index, t, x, x0: seen.append((index, t, x, x0)),
    )  # fmt: skip
    assert [(index, t, len(x)) for index, t, x, _ in seen] == [
        (i, t, n) for n in (2, 1) for i, t in enumerate((749, 499, 249, -1))
    ]
    np.testing.assert_array_equal(seen[3][2].astype(np.float32), images[:2])
    assert all(np.abs(x0).max() <= 1 for *_, x0 in seen)


@pytest.mark.parametrize(("names", "numbers"), [(["ship", "cat"], [2, 0]), ("ship", 2)])
def test_classes_go_by_their_names_too(make_card, names, numbers):
    denoiser = knows_x0(make_card(), np.random.default_rng(0).uniform(-1, 1, (4, 2, 3, 1)))
    by_name, by_number = (sample(denoiser, labels, [0, 1], steps=3) for labels in (names, numbers))
    assert np.array_equal(by_name, by_number)


def test_seeds_count_up_from_0_and_latents_are_their_first_draws_unless_given(make_card):
    denoiser = gaussian(make_card(sampler="ddpm", steps=2))
    for labels, seeds in (([2, 0, 1], [0, 1, 2]), (1, [0])):
        expected, latents = sample(denoiser, labels, seeds), initial_latents(seeds, (2, 3, 1))
        for options in ({}, {"seeds": seeds, "latents": latents, "batch_size": 2}):
            np.testing.assert_array_equal(sample(denoiser, labels, **options), expected)


@pytest.mark.parametrize("sampler", [name for name, row in SAMPLERS.items() if not row.fitted])
def test_named_timesteps_are_visited_by_every_sampler(make_card, sampler):
    def images(card, **options):
        return sample(gaussian(card), [0, 1], sampler=sampler, progress=False, **options)

    steps = sampling_steps(gaussian(make_card()), [0], sampler=sampler, timesteps=TIMESTEPS)
    assert [step.t for step in steps] == [640, 320, 90, -1]
    recommended = make_card(steps=4, timesteps=TIMESTEPS)
    np.testing.assert_array_equal(images(recommended), images(make_card(), timesteps=TIMESTEPS))
    # Those that trailing spacing visits are no other choice than trailing spacing.
    even = images(make_card(), timesteps=(999, 749, 499, 249))
    np.testing.assert_array_equal(even, images(make_card(), steps=4))
    # Whoever asks for steps or a spacing does not want the card's timesteps.
    for options in ({"steps": 4}, {"spacing": "trailing"}):
        np.testing.assert_array_equal(images(recommended, **options), even)


@pytest.mark.parametrize("classes", [0, 1, 12])
def test_the_first_classes_follow_one_another(make_card, classes):
    names = tuple("abcdefghijkl"[:classes])
    denoiser = gaussian(make_card(class_names=names, null_label=classes))
    images, shown = sample_by_class(denoiser, 2, seed=5, progress=False)
    assert shown == names[:10]
    labels = np.repeat(range(len(shown) or 1), 2)
    want = sample(denoiser, labels, 5 + np.arange(len(labels)), progress=False)
    np.testing.assert_array_equal(images, want)


def test_the_image_is_within_range_where_a_fitted_sampler_leaves_it(make_card):
    denoiser = gaussian(make_card(sampler="fitted", **FITTED), std=2.0)
    images = sample(denoiser, [0] * 20, progress=False)
    assert np.abs(images).max() == 1
    assert np.abs(sample(denoiser, [0] * 20, progress=False, clip=False)).max() > 1


def test_a_fitted_sampler_serves_its_own_timesteps_alone(make_card):
    denoiser = gaussian(make_card(sampler="fitted", **FITTED))
    for options in ({}, {"timesteps": TIMESTEPS}):
        fitted = sample(denoiser, [0], progress=False, sampler="fitted", **options)
        np.testing.assert_array_equal(sample(denoiser, [0], progress=False, **options), fitted)
    for options in ({"steps": 4}, {"timesteps": (999, 320, 90)}):
        with pytest.raises(ValueError, match="`timesteps`"):
            sampling_steps(denoiser, [0], sampler="fitted", **options)
        other = sample(denoiser, [0], progress=False, sampler="unipc", **options)
        np.testing.assert_array_equal(sample(denoiser, [0], progress=False, **options), other)
    with pytest.raises(ValueError, match="this model has none"):
        sampling_steps(gaussian(make_card()), [0], sampler="fitted")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"steps": 1001}, "steps"),
        ({"steps": 0}, "steps"),
        ({"labels": [0, 4]}, "labels"),
        ({"sampler": "ddpm", "eta": 0.5}, "eta"),
        ({"eta": 1.5}, "eta"),
        ({"timesteps": (999, 320, 640)}, "timesteps"),
        ({"timesteps": (1000, 320)}, "timesteps"),
        ({"timesteps": (3, -1)}, "timesteps"),
        ({"timesteps": ()}, "timesteps"),
    ],
)
def test_what_would_be_silently_wrong_is_refused_before_the_network_runs(changes, name, make_card):
    arguments = {"labels": [0, 1], "seeds": [0, 1], "progress": False, **changes}
    with pytest.raises(ValueError, match=f"`{name}`"):
        sample(NetworkDenoiser(make_card(), None), **arguments)
