"""Precision, recall, density, coverage and copies: against their definitions, written out."""

import numpy as np
import pytest

from kdiffusion.evaluation import neighbours as room
from kdiffusion.evaluation.neighbours import (
    Copies,
    density_and_coverage,
    nearest,
    precision_and_recall,
)
from kdiffusion.evaluation.real_images import RealImages


def _sets(seed=0, real=60, drawn=45, dimensions=3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((real, dimensions)), rng.normal(0.3, 0.8, (drawn, dimensions))


def _distance(a, b):
    return float(np.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True))))


def _radius(points, index, k):
    others = [_distance(points[index], p) for i, p in enumerate(points) if i != index]
    return sorted(others)[k - 1]


@pytest.mark.parametrize("block", [7, 500])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_all_four_are_their_definitions(k, block, monkeypatch):
    monkeypatch.setattr(room, "BLOCK", block)
    real, drawn = _sets()
    real_radii = [_radius(real, i, k) for i in range(len(real))]
    drawn_radii = [_radius(drawn, i, k) for i in range(len(drawn))]
    inside = [[_distance(d, r) <= radius for r, radius in zip(real, real_radii, strict=True)]
              for d in drawn]  # fmt: skip
    recalled = [any(_distance(r, d) <= radius for d, radius in zip(drawn, drawn_radii, strict=True))
                for r in real]  # fmt: skip
    expected = np.mean([any(row) for row in inside]), np.mean(recalled)
    assert precision_and_recall(real, drawn, k) == pytest.approx(expected)
    expected = np.sum(inside) / (k * len(drawn)), np.mean(np.any(inside, axis=0))
    assert density_and_coverage(real, drawn, k) == pytest.approx(expected)


def test_a_set_against_itself_is_precise_and_covered():
    real, _ = _sets()
    assert precision_and_recall(real, real) == (1.0, 1.0)
    assert density_and_coverage(real, real)[1] == 1.0


def test_two_sets_of_one_kind_have_the_density_and_the_coverage_of_theory():
    """Naeem et al. 2020: E density = 1, E coverage = 1 - prod (N - i) / (N + M - i), i = 1 .. k."""
    rng = np.random.default_rng(0)
    results = [density_and_coverage(*rng.standard_normal((2, 400, 4))) for _ in range(8)]
    density, coverage = np.mean(results, axis=0)
    outside = np.prod([(400 - i) / (800 - i) for i in range(1, 6)])
    assert density == pytest.approx(1, abs=0.03)
    assert coverage == pytest.approx(1 - outside, abs=0.01)


def test_what_each_of_them_sees():
    """A lost mode lowers recall and coverage; images far from all real ones lower the others."""
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(0, 1, (200, 2)), rng.normal(50, 1, (200, 2))])
    one_mode = rng.normal(0, 1, (400, 2))
    precision, recall = precision_and_recall(real, one_mode)
    density, coverage = density_and_coverage(real, one_mode)
    assert (precision > 0.9, recall < 0.55, density > 0.8, coverage < 0.55) == (True,) * 4
    far = np.concatenate([real[::2] + 0.01, rng.normal(-1000, 100, (200, 2))])
    assert precision_and_recall(real, far)[0] == 0.5
    assert density_and_coverage(real, far)[0] < 0.7


def test_distances_far_from_zero_are_no_trouble():
    real, drawn = _sets()
    assert precision_and_recall(real + 1e6, drawn + 1e6) == precision_and_recall(real, drawn)


@pytest.mark.parametrize("block", [4, 500])
def test_the_nearest_is_the_nearest_and_a_copy_is_at_0(block, monkeypatch):
    monkeypatch.setattr(room, "BLOCK", block)
    rng = np.random.default_rng(0)
    among = (100 + rng.standard_normal((50, 6))).astype(np.float32)
    of = np.concatenate([100 + rng.standard_normal((9, 6)), among[[7]]]).astype(np.float32)
    indices, distances = nearest(of, among)
    table = np.linalg.norm(of[:, None].astype(float) - among[None], axis=2)
    np.testing.assert_array_equal(indices, table.argmin(axis=1))
    np.testing.assert_allclose(distances, table.min(axis=1))
    assert (indices[-1], distances[-1]) == (7, 0.0)


def test_copies_are_counted_below_the_nearest_held_out():
    copies = Copies(np.zeros(4, int), np.array([0.0, 0.9, 1.0, 3.0]), np.array([1.0, 2.0, 4.0]))
    assert copies.nearer_than_any == 2
    assert copies.median_ratio == pytest.approx(0.95 / 2)
    # A held-out image that the training part has too is no yardstick.
    for held_out, count in (([0.0, 1.0, 2.0], 2), ([0.0], None)):
        spoilt = Copies(copies.nearest, copies.distances, np.array(held_out))
        assert spoilt.nearer_than_any == count


def test_held_out_images_that_are_training_images_measure_nothing():
    twins = Copies(np.zeros(3, int), np.array([0.5, 1.0, 3.0]), np.array([0.0, 0.0, 0.0, 2.0]))
    assert (twins.nearer_than_any, twins.near_share, twins.median_ratio) == (2, 2 / 3, 0.5)
    alone = Copies(np.zeros(3, int), np.array([0.5, 1.0, 3.0]), np.zeros(4))
    assert (alone.nearer_than_any, alone.near_share, alone.median_ratio) == (None, None, None)
    assert alone.nearer_by_chance is alone.near_share_by_chance is None


def test_what_has_no_answer_is_refused():
    real, drawn = _sets()
    for k in (0, 45):
        with pytest.raises(ValueError, match="`k` must be from 1 to 44"):
            precision_and_recall(real, drawn, k)
    with pytest.raises(ValueError, match="same D"):
        density_and_coverage(real, drawn[:, :2])


def test_near_is_the_nearest_hundredth_of_the_held_out():
    copies = Copies(np.zeros(3, int), np.array([2.005, 10.0, 50.0]), np.arange(1.0, 201.0))
    assert copies.near_share == pytest.approx(1 / 3)


@pytest.mark.parametrize("held_out", [20, 98, 180, 1000])
def test_of_images_that_copy_nothing_as_many_are_near_as_by_chance(held_out):
    """Drawn and held-out images of one kind: their distances are of one distribution."""
    rng, count = np.random.default_rng(0), 200
    found = [
        Copies(np.zeros(count, int), rng.random(count), rng.random(held_out)) for _ in range(4000)
    ]
    for values, expected in (
        ([copies.nearer_than_any for copies in found], found[0].nearer_by_chance),
        ([copies.near_share for copies in found], found[0].near_share_by_chance),
    ):
        assert abs(np.mean(values) - expected) < 4 * np.std(values) / len(values) ** 0.5


def test_held_out_images_are_looked_for_mirrored_too():
    column = np.float32([[0.0], [10.0]])
    real = RealImages(None, column, None, np.float32([[4.0]]), np.float32([[9.0]]), None)
    np.testing.assert_allclose(real.held_out_distances, [1.0])


def test_precision_and_recall_take_the_papers_third_neighbour():
    rng = np.random.default_rng(0)
    real, drawn = rng.standard_normal((2, 60, 3))
    assert precision_and_recall(real, drawn) == precision_and_recall(real, drawn, 3)
    assert precision_and_recall(real, drawn) != precision_and_recall(real, drawn, 5)
