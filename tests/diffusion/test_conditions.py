"""What is asked for by a class, by numbers and by an image."""

import dataclasses

import numpy as np
import pytest

from kdiffusion.diffusion.card import ConditionImage, Number
from kdiffusion.diffusion.conditions import check_conditions
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.sampling import network_evaluations, sample

NUMBERS = (
    Number(name="weight", mean=400, std=150, low=100, high=900),
    Number(name="slant", mean=0, std=7, low=-20, high=20, unit="degrees"),
)
ASKED = {"weight": [200, 300, 400], "slant": 5}


@pytest.fixture
def card(make_card):
    """Two classes, two numbers, and an image of two channels."""
    image = ConditionImage(channels=2, meaning="a drawing")
    return dataclasses.replace(make_card(), numbers=NUMBERS, image=image)


@pytest.fixture
def unlabelled(card):
    return dataclasses.replace(card, class_names=(), null_label=0)


def drawing(card, value=0.5):
    return np.full((*card.image_shape[:2], 2), value, np.float32)


def test_conditions_are_arrays_in_the_order_of_the_card(card):
    asked = {"numbers": dict(reversed(ASKED.items())), "image": drawing(card), "label": [0, 1, 0]}
    conditions = check_conditions(card, asked, 3)
    np.testing.assert_array_equal(conditions.label, [0, 1, 0])
    np.testing.assert_array_equal(conditions.numbers, [[200, 5], [300, 5], [400, 5]])
    assert conditions.image.shape == (3, *card.image_shape[:2], 2)
    assert np.all(conditions.image == 0.5)
    assert conditions.numbers.dtype == conditions.image.dtype == np.float32


def test_pixels_are_brought_to_the_range_of_the_model(card):
    pixels = np.full((*card.image_shape[:2], 2), 255, np.uint8)
    asked = {"label": 0, "numbers": ASKED, "image": pixels}
    assert np.all(check_conditions(card, asked, 3).image == 1.0)


def test_where_the_label_is_null_all_is_null(card):
    null = card.null_label
    asked = {"label": [0, null, 1], "numbers": ASKED, "image": drawing(card)}
    conditions = check_conditions(card, asked, 3)
    assert np.isnan(conditions.numbers[1]).all()
    assert not conditions.image[1].any()
    np.testing.assert_array_equal(conditions.given(null), [True, False, True])
    none = check_conditions(card, null, 3)
    assert not none.given(null).any()


def test_a_model_without_classes_needs_no_label(unlabelled):
    asked = {"numbers": ASKED, "image": drawing(unlabelled)}
    assert check_conditions(unlabelled, asked, 3).given(0).all()
    assert not check_conditions(unlabelled, {}, 3).given(0).any()


@pytest.mark.parametrize(
    "changes",
    [
        {"numbers": None},
        {"image": None},
        {"numbers": {"weight": 400}},
        {"numbers": {**ASKED, "age": 3}},
        {"numbers": [400, 5]},
        {"numbers": {**ASKED, "slant": np.nan}},
        {"numbers": {**ASKED, "slant": [1, 2]}},
        {"image": np.zeros((3, 3, 2))},
        {"image": np.full((4, 6, 2), 2.0)},
        {"colour": "red"},
    ],
)
def test_what_the_model_was_not_trained_for_is_refused(card, changes):
    asked = {"label": 0, "numbers": ASKED, "image": drawing(card)}
    with pytest.raises(ValueError):  # noqa: PT011  NumPy's own among them
        check_conditions(card, {**asked, **changes}, 3)


@pytest.mark.parametrize("name", ["numbers", "image"])
def test_a_condition_that_the_model_lacks_is_refused(card, name):
    asked = {"label": 0, "numbers": ASKED, "image": drawing(card)}
    with pytest.raises(ValueError, match=f"`{name}` must be left out"):
        check_conditions(dataclasses.replace(card, **{name: None}), asked, 3)


def test_a_number_outside_the_range_of_the_training_is_warned_of(card):
    asked = {"label": 0, "numbers": {**ASKED, "slant": 30}, "image": drawing(card)}
    with pytest.warns(UserWarning, match="`slant` was between -20 and 20"):
        assert np.all(check_conditions(card, asked, 3).numbers[:, 1] == 30)


def test_each_image_is_sampled_from_its_own_conditions(card, make_card):
    """Of a network that predicts them as the clean image."""

    def network(x, t, label, numbers, image):
        shown = numbers[:, 0] / 1000 + image[:, 0, 0, 0] / 10
        return np.broadcast_to(np.float32(shown)[:, None, None, None], x.shape)

    card = dataclasses.replace(card, prediction_type="x0")
    images = sample(
        NetworkDenoiser(card, network), [0, 1, 0], numbers=ASKED, images=drawing(card),
        batch_size=2, progress=False, sampler="ddim", steps=3,
    )  # fmt: skip
    np.testing.assert_allclose(images[:, 0, 0, 0], [0.25, 0.35, 0.45], atol=1e-6)


def test_evaluations_are_counted_for_any_conditions(card, unlabelled):
    options = {"steps": 3, "guidance_strength": 1.0, "sampler": "ddim"}
    assert network_evaluations(card, **options) == network_evaluations(unlabelled, **options) == 6
