"""Images to condition on that are made of the image itself."""

import numpy as np
import pytest
from PIL import Image

from kdiffusion.condition_images import (
    CONDITION_IMAGES,
    DRAWS,
    condition_image,
    downsampled,
    enlarged,
)

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, (3, 8, 12, 3)).astype(np.float32)
ANY = RNG.random((3, DRAWS)).astype(np.float32)


@pytest.mark.parametrize("name", CONDITION_IMAGES)
@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., :1]])
def test_each_stays_in_range_and_depends_on_its_own_image_alone(name, images):
    whole = condition_image(name, images, ANY)
    assert whole.dtype == np.float32
    assert whole.shape[:3] == images.shape[:3]
    assert np.abs(whole).max() <= 1
    np.testing.assert_allclose(condition_image(name, images[1:2], ANY[1:2]), whole[1:2], atol=1e-6)


def test_downsampling_is_pillows_box_and_bicubic():
    plane = IMAGES[0, :, :, 0]
    small = Image.fromarray(plane).resize((6, 4), Image.Resampling.BOX)
    large = np.asarray(small.resize((12, 8), Image.Resampling.BICUBIC)).clip(-1, 1)
    for ours in (downsampled(IMAGES[:1], ANY, 2), enlarged(np.asarray(small)[None, ..., None], 2)):
        np.testing.assert_allclose(ours[0, :, :, 0], large, atol=1e-5)


def test_a_mask_hides_what_is_in_its_rectangle():
    made = condition_image("masked", IMAGES, ANY)
    hole = made[..., 3] == 1
    assert np.all(made[..., :3][hole] == 0)
    np.testing.assert_array_equal(made[..., :3][~hole], IMAGES[~hole])
    for each in hole:
        rows, columns = np.nonzero(each)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert each.sum() == height * width > 0


def test_an_edge_shows_where_the_light_changes():
    image = np.full((1, 6, 6, 3), -1.0, np.float32)
    image[:, :, 3:] = 1
    columns = condition_image("edges", image, ANY[:1])[0, 3, :, 0]
    np.testing.assert_array_equal(columns, [-1, -1, 1, 1, -1, -1])
