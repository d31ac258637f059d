"""Thresholds against hand-computed numbers."""

import numpy as np
import pytest

from kdiffusion.diffusion.thresholding import dynamic_threshold, static_threshold


def test_static_clips():
    x0 = np.array([-2.0, -1.0, 0.3, 7.0])
    np.testing.assert_array_equal(static_threshold((-1.0, 1.0))(x0), [-1.0, -1.0, 0.3, 1.0])


def test_dynamic_scales_an_image_by_its_own_quantile():
    loud = np.array([-4.0, 2.0, 1.0, 0.0, 0.5]).reshape(1, 5, 1, 1)
    quiet = loud / 8
    result = dynamic_threshold((-1.0, 1.0), 0.75)(np.concatenate([loud, quiet]))
    # |x0| sorted: 0, 0.5, 1, 2, 4; the quantile 0.75 is 2.
    np.testing.assert_allclose(result[0].ravel(), [-1.0, 1.0, 0.5, 0.0, 0.25])
    np.testing.assert_array_equal(result[1], quiet[0])


def test_dynamic_works_about_the_middle_of_the_range():
    x0 = np.array([0.5, 2.5, 1.0, 0.0]).reshape(1, 4, 1, 1)
    result = dynamic_threshold((0.0, 1.0), 1.0)(x0)  # (2.5 - 0.5) / 0.5 = 4 times the half range
    np.testing.assert_allclose(result.ravel(), [0.5, 1.0, 0.625, 0.375])


@pytest.mark.parametrize("quantile", [0.0, -1.0, 99.5, np.nan])
def test_impossible_quantiles_are_refused(quantile):
    with pytest.raises(ValueError, match="`dynamic_threshold`"):
        dynamic_threshold((-1.0, 1.0), quantile)
