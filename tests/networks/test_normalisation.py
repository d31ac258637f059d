import keras
import numpy as np
import pytest

from kdiffusion.networks import normalisation
from tests.networks.layer_values import CONDITION, MAP, random_inputs


@pytest.mark.parametrize(("channels", "groups"), [(16, 4), (128, 32), (192, 32), (3, 1), (64, 16)])
def test_group_norm_equals_keras_with_groups_of_four_channels_or_more(channels, groups):
    x = np.random.default_rng(0).normal(3.0, 2.0, (2, 4, 5, channels)).astype("float32")
    ours, theirs = normalisation.GroupNorm(), keras.layers.GroupNormalization(groups, epsilon=1e-6)
    np.testing.assert_allclose(ours(x), theirs(x), atol=2e-5)


def test_group_norm_of_one_row_is_that_of_its_columns():
    x = np.random.default_rng(0).normal(3.0, 2.0, (2, 5, 1, 16)).astype("float32")
    norm = normalisation.GroupNorm()
    row = np.swapaxes(x, 1, 2)
    np.testing.assert_allclose(norm(row), np.swapaxes(norm(x), 1, 2), atol=2e-5)


def test_group_norm_adds_its_shift_to_the_map_first():
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, 2.0, (2, 4, 5, 16)).astype("float32")
    shift = rng.normal(-1.0, 2.0, (2, 16)).astype("float32")
    norm = normalisation.GroupNorm()
    np.testing.assert_allclose(norm(x, shift), norm(x + shift[:, None, None, :]), atol=2e-5)


def test_group_norm_scales_and_shifts_its_result_by_the_modulation():
    x, _, modulation = random_inputs([MAP, CONDITION, (2, 32)])
    norm = normalisation.GroupNorm()
    gain, bias = (half[:, None, None, :] for half in np.split(modulation, 2, axis=-1))
    expected = np.asarray(norm(x)) * (1 + gain) + bias
    np.testing.assert_allclose(norm(x, modulation=modulation), expected, atol=2e-5)


def test_group_norm_survives_a_constant_map():
    assert np.all(np.isfinite(normalisation.GroupNorm()(np.full((1, 4, 4, 8), 1e3, "float32"))))
