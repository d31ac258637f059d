"""Features are what their formulas say, do not depend on batches, and see what they should."""

import numpy as np
import pytest

from kdiffusion.evaluation import features as room
from kdiffusion.evaluation.distances import GaussianStatistics, frechet_distance
from kdiffusion.evaluation.features import FEATURES, fit_pixels, fit_random_conv


def _images(count, seed=0, shape=(8, 12, 3)):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


@pytest.fixture(params=FEATURES)
def fit(request):
    return FEATURES[request.param]


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 12, 3), (32, 32, 3)])
def test_features_are_finite_and_one_row_an_image(fit, shape):
    features = fit(_images(60, shape=shape))(_images(5, 1, shape))
    assert features.shape[0] == 5
    assert features.dtype == np.float64
    assert np.all(np.isfinite(features))


def test_features_do_not_depend_on_the_batch(fit, monkeypatch):
    extract, images = fit(_images(60)), _images(10, 1)
    whole = extract(images)
    monkeypatch.setattr(room, "BATCH_SIZE", 3)
    np.testing.assert_allclose(extract(images), whole, rtol=1e-10, atol=1e-12)


def test_an_image_of_another_shape_is_refused(fit):
    extract = fit(_images(60))
    for images in (_images(2, shape=(12, 8, 3)), _images(2).astype(np.float32)):
        with pytest.raises(ValueError, match="8, 12, 3"):
            extract(images)
    with pytest.raises(ValueError, match="`images`"):
        fit(_images(1))


def test_pixels_keep_distances_between_small_images():
    """With all components, a projection only turns: distances stay those of the pixels."""
    images = _images(300, shape=(4, 4, 1))
    features = fit_pixels(images, dimensions=16)(images)
    values = (images / 127.5 - 1).reshape(300, -1)
    np.testing.assert_allclose(features.std(axis=0), np.sort(features.std(axis=0))[::-1])
    np.testing.assert_allclose(
        np.linalg.norm(features[0] - features, axis=1), np.linalg.norm(values[0] - values, axis=1)
    )


@pytest.mark.parametrize(("rows", "columns"), [((8, 2), (8, 2)), ((4, 1), (8, 5))])
def test_pixels_average_over_blocks(rows, columns):
    """Of a narrow image as many pixels are kept along its short side as it has."""
    images = _images(40, shape=(np.prod(rows), np.prod(columns), 1))
    small = images.reshape(40, *rows, *columns, 1).mean(axis=(2, 4)) / 127.5 - 1
    centred = (small - small.mean(axis=0)).reshape(40, -1)
    features = fit_pixels(images, dimensions=64)(images)
    np.testing.assert_allclose(features @ features.T, centred @ centred.T, atol=1e-9)


def test_random_conv_has_variance_1_on_the_images_it_was_fitted_to():
    images = _images(200)
    features = fit_random_conv(images, widths=(4, 8))(images)
    assert features.shape == (200, 2 * (4 + 8) + 4 * 8)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-9)
    assert features.var(axis=0).sum() == pytest.approx(1)


def test_random_conv_is_a_convolution():
    """A filter's mean response, by the sum of products written out, but for the one scale."""
    images = _images(3, shape=(8, 8, 1))
    kernel = np.random.default_rng(0).normal(0, np.sqrt(2 / 9), (9, 2)).reshape(3, 3, 2)
    padded = np.pad(images[..., 0] / 127.5 - 1, ((0, 0), (1, 1), (1, 1)), mode="edge")
    response = np.zeros((3, 8, 8, 2))
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + 8, column : column + 8, None]
            response += window * kernel[row, column]
    means = np.maximum(response, 0).mean(axis=(1, 2))
    features = fit_random_conv(images, widths=(2,))(images)[:, :2]
    ratio = (means - means.mean(axis=0)) / features
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-4)


def test_random_conv_needs_pixels_to_halve():
    with pytest.raises(ValueError, match="8 pixels a side"):
        fit_random_conv(_images(5, shape=(6, 8, 1)))


def _blurred(images):
    wide = images.astype(float)
    return ((wide + np.roll(wide, 1, 1) + np.roll(wide, 1, 2)) / 3).astype(np.uint8)


@pytest.mark.parametrize(
    "spoil", [_blurred, lambda images: images // 2, lambda images: images[:, ::-1] // 4 * 3]
)
def test_spoilt_images_are_further_away_than_others_of_the_kind(fit, spoil):
    def draw(seed):
        top_bright = np.linspace(160, 40, 8)[:, None, None]
        noise = np.random.default_rng(seed).normal(0, 30, (400, 8, 8, 1))
        return np.clip(top_bright + noise, 0, 255).astype(np.uint8)

    extract = fit(draw(0))

    def distance(images):
        statistics = [GaussianStatistics().add(extract(each)) for each in (draw(0), images)]
        return frechet_distance(*statistics)

    assert distance(spoil(draw(1))) > 3 * distance(draw(1))


def test_pixels_tell_real_digits_apart():
    from sklearn.datasets import load_digits
    from sklearn.svm import SVC

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    extract = fit_pixels(images[:1000])
    classifier = SVC(C=10.0).fit(extract(images[:1000]), digits.target[:1000])
    assert classifier.score(extract(images[1000:]), digits.target[1000:]) > 0.93
