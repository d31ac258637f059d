"""What a judge is trained on: every image in turn, either side, and parts of a batch spoilt."""

import io

import numpy as np
import pytest
from PIL import Image

from kdiffusion.evaluation.judge_training import augmentation as room
from kdiffusion.evaluation.judge_training.augmentation import (
    blurred,
    compressed,
    grainy,
    judge_batches,
    spoilt,
)


def _images(count, shape=(16, 16, 3), seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, shape[0] // 4, shape[1] // 4, shape[2]))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)


def test_an_epoch_has_every_image_once_and_the_next_its_mirror_image():
    count = 24
    ramp = np.linspace(0, 250, 8).astype(np.uint8)  # brighter to the right
    images = np.broadcast_to(ramp[None, None, :, None], (count, 8, 8, 1)).copy()
    labels = np.arange(count, dtype=np.int32)
    batches = judge_batches(images, labels, count, steps=9, batch_size=8, seed=3, flip=True)
    pixels, which = map(np.concatenate, zip(*batches.as_numpy_iterator(), strict=True))
    assert pixels.shape == (72, 8, 8, 1)
    assert pixels.dtype == which.dtype == np.float32
    rightwards = pixels[:, :, 4:].mean((1, 2, 3)) > pixels[:, :, :4].mean((1, 2, 3))
    sides = []
    for epoch in range(3):
        part = slice(count * epoch, count * (epoch + 1))
        order = which[part].argmax(axis=1)
        assert sorted(order) == list(range(count))
        sides.append(rightwards[part][np.argsort(order)])
    np.testing.assert_array_equal(sides[1], ~sides[0])
    np.testing.assert_array_equal(sides[2], sides[0])
    assert 0 < sides[0].sum() < count


def test_a_seed_gives_the_same_batches_and_another_others():
    images = _images(20).astype(np.uint8)
    labels = np.zeros(20, np.int32)

    def draw(seed):
        batches = judge_batches(images, labels, 2, steps=3, batch_size=16, seed=seed)
        return np.stack([pixels for pixels, _ in batches.as_numpy_iterator()])

    first = draw(5)
    np.testing.assert_array_equal(first, draw(5))
    assert np.abs(first - draw(6)).mean() > 1
    assert np.array_equal(first, np.clip(np.rint(first), 0, 255))


def test_images_move_by_a_sixteenth_of_their_side_at_most():
    images = np.zeros((32, 32, 32, 1), np.float32)
    images[:, 15, 16] = 1
    rows, columns = np.nonzero(np.asarray(room._moved(images, [1, 2]))[..., 0])[1:]
    assert set(rows) == set(range(13, 18))
    assert set(columns) == set(range(14, 19))


@pytest.mark.parametrize(("share", "count"), [(0, 0), (0.375, 24), (1, 64)])
def test_only_a_part_of_a_batch_is_spoilt(share, count):
    images = _images(64)
    changed = np.abs(np.asarray(spoilt(images, [1, 2], share)) - images).max(axis=(1, 2, 3)) > 0
    # The least grain and the least blur change nothing.
    assert changed[:count].sum() >= 0.8 * count
    assert not changed[count:].any()


def test_blur_is_a_gaussian():
    images = np.zeros((2, 9, 9, 1), np.float32)
    images[:, 4, 4] = 255
    for image, width in zip(
        np.asarray(blurred(images, np.float32([0.5, 1.0]))), (0.5, 1.0), strict=True
    ):
        taps = np.exp(-0.5 * (np.arange(-2, 3) / width) ** 2)
        taps /= taps.sum()
        np.testing.assert_allclose(image[2:7, 2:7, 0], 255 * np.outer(taps, taps), atol=0.5)
        assert image.sum() == image[2:7, 2:7].sum()


def test_grain_is_as_strong_as_asked():
    images = np.full((2, 64, 64, 3), 128, np.float32)
    spread = np.asarray(grainy(images, np.float32([3.0, 12.0]), [1, 2])).std(axis=(1, 2, 3))
    np.testing.assert_allclose(spread, [3, 12], rtol=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_compression_is_that_of_jpeg(channels):
    images = _images(2, (16, 24, channels))
    found = np.asarray(compressed(images, np.int32([30, 90])))
    for image, pixels, quality in zip(images, found, (30, 90), strict=True):
        file = io.BytesIO()
        pillow = Image.fromarray(image.astype(np.uint8).squeeze())
        pillow.save(file, "JPEG", quality=quality, subsampling="4:2:0" if channels == 3 else -1)
        expected = np.asarray(Image.open(file), np.float32).reshape(image.shape)
        np.testing.assert_allclose(pixels, expected, atol=2)
        assert np.abs(pixels - image).mean() > 0.3
