"""The judges that come with the package open, are small, and read either side of an image alike."""

import numpy as np
import pytest

from kdiffusion.evaluation.judge import find_judge, judge_names, load_judge

LARGEST_BYTES = 5_000_000


@pytest.mark.parametrize(("name", "third"), [("cifar10", "cat"), ("digits", "3")])
def test_a_data_set_has_one(name, third):
    card = load_judge(name).card
    assert find_judge(name, card.image_shape, card.class_names) == name
    assert card.class_names[3] == third


@pytest.mark.parametrize("name", judge_names())
def test_it_is_small_and_withstands_grain(name):
    judge = load_judge(name)
    assert judge.path.stat().st_size <= LARGEST_BYTES
    assert judge.card.accuracy["clean"] > 0.9
    assert judge.card.accuracy["grain 10"] > 0.85


# The mirror image of a digit is another sign.
@pytest.mark.parametrize("name", [n for n in judge_names() if n != "digits"])
def test_it_reads_an_image_and_its_mirror_image_alike(name):
    judge = load_judge(name)
    images = np.random.default_rng(0).integers(0, 256, (4, *judge.card.image_shape), np.uint8)
    one, other = judge.read(images), judge.read(images[:, :, ::-1])
    for values, mirrored in zip(one, other, strict=True):
        np.testing.assert_allclose(mirrored, values, atol=1e-3)
    assert np.abs(one[0][0] - one[0][1]).max() > 0.01
