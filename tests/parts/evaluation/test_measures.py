"""The figures that rows of the table make: grain, shares by class, errors, and who is sampled."""

from types import SimpleNamespace

import numpy as np
import pytest

from kdiffusion.parts.evaluation.distances import Gaussian
from kdiffusion.parts.evaluation.measures import MEASURES, Samples, grain_levels, saturation
from kdiffusion.parts.evaluation.real_images import labels_to_sample


@pytest.mark.parametrize("level", [2.0, 10.0, 25.0])
def test_of_noise_it_is_its_standard_deviation(level):
    noise = np.random.default_rng(0).normal(128, level, (40, 32, 32, 3))
    assert grain_levels(noise).mean() == pytest.approx(level, rel=0.01)


def test_of_what_is_even_or_rises_evenly_it_is_nothing():
    row, column = np.arange(8), 3 * np.arange(12)
    ramps = [np.full((8, 12), 200), row[:, None] + column, 40 + row[:, None] + 0 * column]
    np.testing.assert_array_equal(grain_levels(np.stack(ramps).astype(np.uint8)[..., None]), 0)


def test_grey_has_no_saturation_and_pure_red_all():
    images = np.uint8([[[[90, 90, 90]]], [[[200, 0, 0]]], [[[0, 0, 0]]], [[[50, 100, 75]]]])
    np.testing.assert_array_equal(saturation(images), [0, 1, 0, 0.5])


def test_shares_by_class_are_counted():
    labels, readings = np.array([0, 0, 0, 1, 1]), np.array([0, 2, 0, 1, 0])
    real = SimpleNamespace(class_names=("a", "b", "c"))

    def shares(classes):
        return MEASURES["share_as_asked"].compute(Samples(None, None, classes, labels), real)

    found = shares(readings)
    assert found["share_as_asked"] == 0.6
    assert found["share_as_asked_standard_error"] == pytest.approx((4 / 7 * 3 / 7 / 5) ** 0.5)
    assert shares(labels)["share_as_asked_standard_error"] == pytest.approx(
        (6 / 7 * 1 / 7 / 5) ** 0.5
    )
    assert found["share_by_class"] == {"a": pytest.approx(2 / 3), "b": 0.5, "c": None}
    assert found["confusion"] == [[2, 0, 1], [1, 1, 0], [0, 0, 0]]


def test_the_extrapolated_distance_is_without_the_bias_of_few_images():
    rng, dimensions = np.random.default_rng(0), 20
    real = SimpleNamespace(gaussian=Gaussian(np.zeros(dimensions), np.eye(dimensions)))
    found = MEASURES["frechet"].compute(Samples(None, rng.standard_normal((400, dimensions))), real)
    assert found["frechet_distance"] > 0.1  # of images that are perfect
    assert abs(found["frechet_distance_extrapolated"]) < 0.3 * found["frechet_distance"]


def _labels(*counts, classes=None):
    labels = np.repeat(np.arange(len(counts)), counts)
    dataset = SimpleNamespace(labels=labels, num_classes=len(counts))
    return labels_to_sample(classes or len(counts), dataset)


def test_classes_of_nearly_equal_shares_take_turns():
    for labels in (_labels(100, 105, 110), _labels(100, 500, classes=3)):
        assert list(labels) == [0, 1, 2]


MANY = tuple(np.random.default_rng(0).integers(1, 20, 500))


@pytest.mark.parametrize(
    "counts", [(160, 164, 20), (1, 0, 3), (1, 900, 95), (900, *[1] * 100), MANY]
)
def test_any_beginning_has_nearly_the_shares_of_the_data_and_all_labels_have_them(counts):
    classes, total = len(counts), sum(counts)
    labels = _labels(*counts)
    assert np.bincount(labels, minlength=classes).tolist() == list(counts)
    drawn = np.cumsum(np.eye(classes)[labels], axis=0)
    expected = np.outer(np.arange(1, total + 1), np.array(counts) / total)
    assert np.abs(drawn - expected).max() <= 2
