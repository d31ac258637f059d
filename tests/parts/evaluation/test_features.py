"""Features are those of the network, of images as it takes them, whatever the batches."""

import numpy as np
import pytest
from PIL import Image

from kdiffusion.parts.evaluation.features import WITHOUT_A_JUDGE, Reading, make_reader, open_network
from kdiffusion.parts.evaluation.judge import load_judge


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 4, 6, 3), np.uint8)


def _extract(path, **options):
    return open_network(path, Reading(**options))[1]


def test_pixels_arrive_in_the_order_and_the_range_that_the_network_takes(network, images):
    features = _extract(network(["batch", 3, "height", "width"]), feature_range=(-1, 1))(images)
    expected = images.transpose(0, 3, 1, 2) / 127.5 - 1
    np.testing.assert_allclose(features, expected.reshape(7, -1), atol=1e-6)
    for kind in (np.float32, np.uint8):
        features = _extract(network(["batch", "h", "w", 3], kind))(images)
        np.testing.assert_array_equal(features, images.reshape(7, -1))


def test_grey_is_three_times_the_same_and_pooled_features_need_not_be_flat(network, images):
    grey = _extract(network(["batch", "h", "w", 3]))(images[..., :1]).reshape(7, 4, 6, 3)
    np.testing.assert_array_equal(grey, np.repeat(images[..., :1], 3, axis=-1))
    pixel = np.arange(6, dtype=np.uint8).reshape(2, 1, 1, 3)
    pooled = _extract(network(["batch", 3, "h", "w"], flat=False))
    np.testing.assert_array_equal(pooled(pixel), pixel.reshape(2, 3))


def test_images_are_brought_to_the_size_asked_for_without_rounding(network, images):
    extract = _extract(network(["batch", "h", "w", 3]), feature_size=12)
    features = extract(images).reshape(7, 12, 12, 3)
    red = Image.fromarray(images[2, ..., 0].astype(np.float32))
    expected = np.asarray(red.resize((12, 12), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(features[2, ..., 0], expected, rtol=1e-6)
    fixed = _extract(network(["batch", 12, 12, 3]))(images).reshape(7, 12, 12, 3)
    np.testing.assert_array_equal(fixed, features)


def test_of_several_outputs_one_must_be_named(network):
    path = network(["batch", "h", "w", 3], outputs=("a", "b"))
    with pytest.raises(ValueError, match="`feature_output`"):
        open_network(path, Reading())
    identities = {
        make_reader(Reading(path, size, value_range, output), None).identity
        for size, value_range, output in (
            (None, (0, 255), "a"), (None, (0, 255), "b"), (8, (0, 255), "a"), (None, (0, 1), "a"),
        )
    }  # fmt: skip
    assert len(identities) == 4


def test_without_a_judge_the_features_are_those_of_cifar10s():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    features, classes = make_reader(Reading(), None)(images)
    assert classes is None
    _, expected = load_judge(WITHOUT_A_JUDGE).read(images)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-5)
    grey = images[:, :8, :8, :1]  # another size, another number of channels
    assert make_reader(Reading(), None)(grey)[0].shape == features.shape
