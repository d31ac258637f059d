"""An evaluation as a whole, by a judge whose features are known: figures, cache, the report."""

import dataclasses
import json
import re

import numpy as np
import pytest

from kdiffusion.data import ImageDataset
from kdiffusion.parts.evaluation.distances import kernel_distance, precision_and_recall
from kdiffusion.parts.evaluation.evaluation import evaluate, measurable, measure
from kdiffusion.parts.evaluation.features import Reader
from kdiffusion.parts.evaluation.image_sets import ImageSet
from kdiffusion.parts.evaluation.judge import load_judge
from kdiffusion.parts.evaluation.measures import grain_levels
from kdiffusion.parts.evaluation.real_images import read_real
from kdiffusion.parts.evaluation.report import report, table

pytestmark = pytest.mark.usefixtures("cache")
SHAPE = (4, 6, 1)


def _images(seed, count):
    """Dark and bright images in turn, with a gradient and grain, and their labels."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % 2
    level = np.where(labels, 190, 60)[:, None, None, None] + rng.normal(0, 15, (count, 4, 1, 1))
    images = level + rng.normal(0, 10, (count, 4, 6, 1))
    return np.clip(images, 0, 255).astype(np.uint8), labels.astype(np.int32)


@pytest.fixture
def dataset():
    return ImageDataset("toy", *_images(0, 900), *_images(1, 700), ("dark", "bright"), True)


def _set(images, labels=None, **names):
    return ImageSet(images, None if labels is None else labels.astype(np.int64), **names)


def _evaluate(samples, data, **options):
    return evaluate(samples, data, progress=False, **options)


@pytest.fixture
def fresh():
    return _set(*_images(2, 600))


def test_the_figures_are_those_of_the_measures_on_the_features(fresh, dataset, judge_file):
    figures = _evaluate(fresh, dataset, judge=str(judge_file))
    assert figures["not_measured"] == {}
    judge = load_judge(judge_file)
    real, drawn = (judge.read(each)[1].astype(float) for each in (dataset.images, fresh.images))
    estimates = kernel_distance(drawn, real, 4, 600)
    assert figures["kernel_distance"] == estimates.mean()
    assert figures["kernel_distance_sd"] == estimates.std()
    gap = drawn.mean(axis=0) - real.mean(axis=0)
    covariances = [np.cov(each, rowvar=False) for each in (drawn, real)]
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real).sum()
    expected = gap @ gap + np.trace(sum(covariances)) - 2 * root
    assert figures["frechet_distance"] == pytest.approx(expected, rel=1e-5)
    chosen = np.sort(np.random.default_rng(0).choice(900, 600, replace=False))
    assert (figures["precision"], figures["recall"]) == precision_and_recall(real[chosen], drawn)
    grain = grain_levels(fresh.images)
    assert figures["grain_levels_standard_error"] == pytest.approx(grain.std(ddof=1) / 600**0.5)
    share = (600 * figures["recall"] + 1) / 602
    assert figures["recall_standard_error"] == pytest.approx((share * (1 - share) / 600) ** 0.5)
    # Held-out images are read beside their own labels: these show their class.
    assert figures["share_as_asked"] == figures["real"]["share_as_asked"] == 1.0
    assert figures["real"]["images"] == 600
    assert figures["judge"]["accuracy"] == {"clean": 1.0}
    json.dumps(figures, allow_nan=False)


def test_copies_of_training_images_are_counted_and_so_are_their_mirror_images(dataset, network):
    images, _ = _images(2, 600)
    copied, mirrored = images.copy(), images.copy()
    copied[:10] = dataset.images[:10]
    mirrored[:10] = dataset.images[:10, :, ::-1]
    # Two features are too few to tell images apart.
    real = read_real(dataset, SHAPE, None, progress=False, features=network(["batch", "h", "w", 1]))
    for spoilt, expected in ((images, 0), (copied, 10), (mirrored, 10)):
        figures = _evaluate(_set(spoilt), real, measures=("copies",))
        assert figures["copies"] == expected
        assert figures["copies_by_chance"] == 600 / 701


def test_real_images_are_read_once(dataset, judge_file, cache, monkeypatch):
    options = {"progress": False, "judge": str(judge_file)}
    first = read_real(dataset, SHAPE, None, **options)
    files = sorted(cache.rglob("*.npz"))

    def read(*_, **__):
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "__call__", read)
        again = read_real(dataset, SHAPE, None, **options)
    for name in ("features", "held_out", "held_out_mirrored", "held_out_classes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    other = dataclasses.replace(dataset, images=255 - dataset.images)
    read_real(other, SHAPE, None, **options)
    assert len(sorted(cache.rglob("*.npz"))) == len(files) + 1


def test_what_is_asked_for_and_cannot_be_measured_is_refused(dataset, judge_file):
    real = read_real(dataset, SHAPE, None, progress=False, judge=str(judge_file))
    with pytest.raises(ValueError, match=r"`measures`.* precision_recall: it needs 500"):
        measurable(("precision_recall",), 180, True, real)


def test_data_or_a_judge_of_other_images_or_classes_is_refused(fresh, dataset, judge_file):
    cats = dataclasses.replace(dataset, class_names=("cat", "dog"))
    for shape, names, data, judge, named in (
        ((6, 4, 1), None, dataset, None, "data"),
        (SHAPE, ("cat", "dog"), dataset, None, "data"),
        (SHAPE, None, cats, str(judge_file), "judge"),
    ):
        with pytest.raises(ValueError, match=f"`{named}` must"):
            read_real(data, shape, names, judge=judge)
    with pytest.raises(ValueError, match="from 0 to 1"):
        _evaluate(fresh._replace(labels=np.full(600, 3)), dataset, judge=str(judge_file))


def test_the_report_is_one_whole_page_that_needs_nothing_else(dataset, judge_file):
    real = read_real(dataset, SHAPE, None, progress=False, judge=str(judge_file))
    samples = _set(*_images(2, 600))
    figures, nearest = measure(samples, real, progress=False)
    text = report(figures, samples, real, nearest)
    sources = re.findall(r" (?:src|href)=[\"']?([^\"'>]*)", text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    for line, key in (("Precision", "precision"), ("Copies", "copies")):
        row = next(row for row in table(figures).splitlines() if row.startswith(line))
        assert float(row.split()[1]) == pytest.approx(figures[key], rel=1e-3)
