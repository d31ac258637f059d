"""Features are what their formulas say, do not depend on batches, and see what they should."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from kdiffusion.evaluation import features as room
from kdiffusion.evaluation.distances import frechet_distance, gaussian_of
from kdiffusion.evaluation.features import (
    FEATURES,
    fit_pixels,
    fit_random_conv,
    make_reader,
    open_network,
)
from tests.onnx_models import make_model

TYPES = {np.float32: TensorProto.FLOAT, np.uint8: TensorProto.UINT8}


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
    monkeypatch.setattr(room, "CHUNK", 3)
    np.testing.assert_allclose(extract(images), whole, rtol=1e-10, atol=1e-12)


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
        gaussians = [gaussian_of(extract(each)) for each in (draw(0), images)]
        return frechet_distance(*gaussians)

    assert distance(spoil(draw(1))) > 3 * distance(draw(1))


@pytest.fixture
def network(tmp_path):
    """Writes a network whose features are its input, flattened, and return its path."""

    def write(shape, kind=np.float32, outputs=("features",), flat=True):
        cast = helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT)
        flatten = [
            helper.make_node("Flatten" if flat else "Identity", ["float"], [name])
            for name in outputs
        ]
        given = ["batch", None] if flat else ["batch", None, None, None]
        model = make_model(
            [cast, *flatten], {"x": (shape, TYPES[kind])}, dict.fromkeys(outputs, given)
        )
        onnx.save(model, tmp_path / "network.onnx")
        return tmp_path / "network.onnx"

    return write


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 4, 6, 3), np.uint8)


def _extract(path, **options):
    return open_network(path, **options)[1]


def test_pixels_arrive_in_the_order_and_the_range_that_the_network_takes(network, images):
    features = _extract(network(["batch", 3, "height", "width"]), value_range=(-1, 1))(images)
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
    features = _extract(network(["batch", "h", "w", 3]), size=12)(images).reshape(7, 12, 12, 3)
    red = Image.fromarray(images[2, ..., 0].astype(np.float32))
    expected = np.asarray(red.resize((12, 12), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(features[2, ..., 0], expected, rtol=1e-6)
    fixed = _extract(network(["batch", 12, 12, 3]))(images).reshape(7, 12, 12, 3)
    np.testing.assert_array_equal(fixed, features)


def test_of_several_outputs_one_must_be_named(network):
    path = network(["batch", "h", "w", 3], outputs=("a", "b"))
    with pytest.raises(ValueError, match="`feature_output`"):
        open_network(path)
    identities = {
        make_reader(str(path), None, None, size, value_range, output).identity
        for size, value_range, output in (
            (None, (0, 255), "a"), (None, (0, 255), "b"), (8, (0, 255), "a"), (None, (0, 1), "a"),
        )
    }  # fmt: skip
    assert len(identities) == 4


@pytest.mark.parametrize("images", [None, np.zeros((40, 8, 8, 1), np.uint8)])
def test_features_that_are_not_there_are_refused(images):
    for features in ("judge", "inception", *(() if images is not None else FEATURES)):
        with pytest.raises(ValueError, match="`features`"):
            make_reader(features, None, images)
