import numpy as np
import pytest

from kdiffusion.evaluation.class_shares import TURNS, labels_in_turn


def test_classes_of_nearly_equal_shares_take_turns():
    labels = np.repeat(np.arange(3), [100, 105, 110])
    assert labels_in_turn(labels, 3) == [0, 1, 2]


@pytest.mark.parametrize("counts", [(160, 164, 20), (1, 0, 3), (5, 900, 95)])
def test_any_beginning_has_the_shares_of_the_data_to_an_image(counts):
    turns = labels_in_turn(np.repeat(np.arange(3), counts), 3)
    assert len(turns) == TURNS
    drawn = np.cumsum(np.eye(3)[turns], axis=0)
    expected = np.outer(np.arange(1, TURNS + 1), np.array(counts) / sum(counts))
    assert np.abs(drawn - expected).max() <= 1
