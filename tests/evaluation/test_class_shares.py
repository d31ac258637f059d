import numpy as np
import pytest

from kdiffusion.evaluation.class_shares import labels_in_turn


def test_classes_of_nearly_equal_shares_take_turns():
    assert labels_in_turn(np.array([100, 105, 110])) == [0, 1, 2]


MANY = tuple(np.random.default_rng(0).integers(1, 20, 500))


@pytest.mark.parametrize("counts", [(160, 164, 20), (1, 0, 3), (1, 900, 95), MANY])
def test_any_beginning_has_the_shares_of_the_data_to_an_image_and_all_turns_have_them(counts):
    classes, total = len(counts), sum(counts)
    turns = labels_in_turn(np.array(counts))
    assert np.bincount(turns, minlength=classes).tolist() == list(counts)
    drawn = np.cumsum(np.eye(classes)[turns], axis=0)
    expected = np.outer(np.arange(1, total + 1), np.array(counts) / total)
    assert np.abs(drawn - expected).max() <= 1


def test_of_very_many_images_the_turns_are_fewer_and_still_of_their_shares(monkeypatch):
    monkeypatch.setattr("kdiffusion.evaluation.class_shares.MOST_TURNS", 4000)
    counts = np.random.default_rng(0).integers(300, 900, 50)
    turns = labels_in_turn(counts)
    assert len(turns) == 4000
    assert np.abs(np.bincount(turns) - 4000 * counts / counts.sum()).max() <= 1
