"""An evaluation as a whole, by a judge whose features are known: figures, refusals, the report."""

import dataclasses
import html.parser
import json

import numpy as np
import pytest

from kdiffusion.data import ImageDataset
from kdiffusion.evaluation.distances import (
    GaussianStatistics,
    frechet_distance,
    kernel_distance,
)
from kdiffusion.evaluation.evaluation import KEYS
from kdiffusion.evaluation.grain import grain_levels
from kdiffusion.evaluation.image_sets import open_images
from kdiffusion.evaluation.job import Job, run_job
from kdiffusion.evaluation.judge import load_judge
from kdiffusion.evaluation.measures import MEASURES, Drawn, shares_by_class
from kdiffusion.evaluation.neighbours import density_and_coverage, precision_and_recall
from kdiffusion.evaluation.real_images import RealImages, statistics_of
from kdiffusion.evaluation.report import _grid, table


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("kdiffusion.evaluation.measures.KERNEL_SUBSETS", 4)
    return tmp_path / "cache"


def _images(seed, count):
    """Dark and bright images in turn, with a gradient and grain, and their labels."""
    rng, labels = np.random.default_rng(seed), np.arange(count) % 2
    level = np.where(labels, 190, 60)[:, None, None, None] + rng.normal(0, 15, (count, 4, 1, 1))
    images = level + rng.normal(0, 10, (count, 4, 6, 1))
    return np.clip(images, 0, 255).astype(np.uint8), labels.astype(np.int32)


def _grainy(images):
    noise = np.random.default_rng(3).normal(0, 10, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def dataset():
    return ImageDataset("toy", *_images(0, 900), *_images(1, 700), ("dark", "bright"), True)


@pytest.fixture
def save(tmp_path):
    """Saves images (and labels), and opens them as a set to be evaluated."""

    def write(images, labels=None):
        arrays = {"images": images} if labels is None else {"images": images, "labels": labels}
        np.savez(tmp_path / "drawn.npz", **arrays)
        return open_images(tmp_path / "drawn.npz")

    return write


def _evaluate(drawn, real, **options):
    prepared = Job(**options).prepare(drawn.image_shape, drawn.class_names, real, progress=False)
    return run_job(prepared, drawn, "drawn", progress=False)


@pytest.fixture
def fresh(save):
    return save(*_images(2, 600))


def test_the_figures_are_those_of_the_measures_on_the_features(fresh, dataset, judge_file):
    figures = _evaluate(fresh, dataset, judge=str(judge_file)).figures
    assert set(KEYS) <= set(figures)
    assert all(figures[key] is not None for key in KEYS)
    judge = load_judge(judge_file)
    real, drawn = (
        judge.read(each)[1].astype(float) for each in (dataset.images, _images(2, 600)[0])
    )
    size = min(1000, 600)
    assert figures["kernel_distance"] == kernel_distance(drawn, real, 4, size).mean()
    gap = drawn.mean(axis=0) - real.mean(axis=0)
    covariances = [np.cov(each, rowvar=False) for each in (drawn, real)]
    root = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real).sum()
    expected = gap @ gap + np.trace(sum(covariances)) - 2 * root
    assert figures["frechet_distance"] == pytest.approx(expected, rel=1e-5)
    chosen = np.sort(np.random.default_rng(0).choice(900, 600, replace=False))
    assert (figures["precision"], figures["recall"]) == precision_and_recall(real[chosen], drawn)
    assert (figures["density"], figures["coverage"]) == density_and_coverage(real[chosen], drawn)
    assert figures["share_as_asked"] == 1.0
    assert figures["real"]["images"] == 600
    assert figures["judge"]["accuracy"] == {"clean": 1.0}
    json.dumps(figures, allow_nan=False)


def test_every_defect_moves_what_is_meant_to_see_it(save, dataset, judge_file):
    images, labels = _images(2, 600)
    copied = images.copy()
    copied[:10] = dataset.images[:10]
    mirrored = images.copy()
    mirrored[:10] = dataset.images[:10, :, ::-1]
    sets = {
        "none": (images, labels),
        "grain": (_grainy(images), labels),
        "brighter": (np.minimum(images, 235) + 20, labels),
        "wrong labels": (images, 1 - labels),
        "one class": (np.repeat(images[::2], 2, axis=0), np.repeat(labels[::2], 2)),
    }
    found = {
        name: _evaluate(save(*each), dataset, judge=str(judge_file)).figures
        for name, each in sets.items()
    }
    none = found["none"]
    assert found["brighter"]["frechet_distance"] > 10 * none["frechet_distance"]
    assert found["brighter"]["kernel_distance"] > 10 * none["kernel_distance_sd"]
    real, error = none["real"]["grain_levels"], none["grain_levels_standard_error"]
    assert abs(none["grain_levels"] - real) < 5 * error
    assert found["grain"]["grain_levels"] > real + 10 * error
    assert found["wrong labels"]["share_as_asked"] == 0
    assert found["wrong labels"]["frechet_distance"] == none["frechet_distance"]
    assert found["one class"]["recall"] < 0.6 * none["recall"]
    assert found["one class"]["coverage"] < 0.6 * none["coverage"]
    # Two features are too few to tell images apart.
    for spoilt, expected in ((images, 0), (copied, 10), (mirrored, 10)):
        result = _evaluate(save(spoilt), dataset, features="pixels", measures=("copies",))
        assert result.figures["copies"] == expected
        assert result.figures["copies_by_chance"] == 600 / 701


def test_what_was_read_of_real_images_is_read_once(fresh, dataset, judge_file, cache, monkeypatch):
    first = _evaluate(fresh, dataset, judge=str(judge_file), measures=("kernel",)).figures
    files = sorted(cache.rglob("*.npy"))
    seen = []
    judge = load_judge(judge_file)
    monkeypatch.setattr(
        "kdiffusion.evaluation.job.load_judge",
        lambda _: seen.append(1) or judge,
    )
    read = type(judge).read
    monkeypatch.setattr(
        type(judge), "read", lambda self, images: seen.append(len(images)) or read(self, images)
    )
    again = _evaluate(fresh, dataset, judge=str(judge_file), measures=("kernel",)).figures
    assert sum(seen) - 1 == 600  # the drawn ones alone
    assert again["kernel_distance"] == first["kernel_distance"]
    other = dataclasses.replace(dataset, images=255 - dataset.images)
    _evaluate(fresh, other, judge=str(judge_file), measures=("kernel",))
    assert len(sorted(cache.rglob("*.npy"))) > len(files)


def test_shares_by_class_are_counted():
    labels, readings = np.array([0, 0, 0, 1, 1]), np.array([0, 2, 0, 1, 0])
    found = shares_by_class(labels, readings, ("a", "b", "c"))
    assert found["share_as_asked"] == 0.6
    assert found["share_as_asked_standard_error"] == pytest.approx((4 / 7 * 3 / 7 / 5) ** 0.5)
    all_right = shares_by_class(labels, labels, ("a", "b", "c"))
    assert all_right["share_as_asked_standard_error"] == pytest.approx((6 / 7 * 1 / 7 / 5) ** 0.5)
    assert found["share_by_class"] == {"a": pytest.approx(2 / 3), "b": 0.5, "c": None}
    assert found["confusion"] == [[2, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert found["share_read"] == {"a": 0.6, "b": 0.2, "c": 0.2}


def test_too_few_images_are_refused_with_how_many_and_how_biased(save, dataset, judge_file):
    few = save(*_images(2, 60))
    message = r"precision_recall needs 500.*\. Draw more, or .*--measures frechet share"
    with pytest.raises(ValueError, match=message):
        _evaluate(few, dataset, judge=str(judge_file))
    fewer = save(*_images(2, 9))
    held_out = ImageDataset("toy", *_images(0, 900), *_images(1, 9), ("dark", "bright"), True)
    prepared = Job(features="pixels").prepare((4, 6, 1), None, held_out, progress=False)
    of_nine = frechet_distance(
        statistics_of(prepared.real.held_out_features), prepared.real.statistics
    )
    message = rf"frechet needs \d+, as the covariance.*held-out images are at .* {of_nine:.4g}, not"
    with pytest.raises(ValueError, match=message):
        _evaluate(fewer, held_out, features="pixels", measures=("frechet",))
    few = save(*_images(2, 60))
    figures = _evaluate(few, dataset, judge=str(judge_file), measures=("share_as_asked",)).figures
    assert figures["share_as_asked"] == 1.0
    assert figures["frechet_distance"] is None


def test_without_labels_or_a_judge_what_cannot_be_measured_is_named(save, dataset, judge_file):
    unlabelled = save(_images(2, 600)[0])
    result = _evaluate(unlabelled, dataset, judge=str(judge_file))
    assert result.figures["share_as_asked"] is None
    assert "no labels" in result.figures["not_measured"]["share_as_asked"]
    assert "no labels" in result.report
    with pytest.raises(ValueError, match="`measures` cannot include share_as_asked"):
        _evaluate(unlabelled, dataset, features="pixels", measures=("share_as_asked",))
    assert _evaluate(unlabelled, dataset, features="pixels").figures["precision"] > 0.7


def test_what_does_not_fit_is_refused_by_name(save, dataset, judge_file, tmp_path):
    drawn = save(*_images(2, 600))
    other = dataclasses.replace(drawn, image_shape=(6, 4, 1))
    with pytest.raises(ValueError, match=r"`data` must have images of the shape \(6, 4, 1\)"):
        _evaluate(other, dataset)
    other = dataclasses.replace(drawn, class_names=("cat", "dog"))
    with pytest.raises(ValueError, match="`data` must have the classes cat, dog"):
        _evaluate(other, dataset)
    cats = dataclasses.replace(dataset, class_names=("cat", "dog"))
    with pytest.raises(ValueError, match="`judge` must read images"):
        _evaluate(drawn, cats, judge=str(judge_file))
    with pytest.raises(ValueError, match="`features` cannot be the judge's"):
        _evaluate(drawn, dataset, features="judge")
    with pytest.raises(ValueError, match="`features` must be judge, pixels"):
        _evaluate(drawn, dataset, features="inception")
    with pytest.raises(ValueError, match=r"ONNX network given by its path.*Received"):
        _evaluate(drawn, dataset, features="pixels", feature_size=32)
    wrong = dataclasses.replace(drawn, labels=drawn.labels + 1)
    with pytest.raises(ValueError, match=r"must be from 0 to 1\. Received: 2"):
        _evaluate(wrong, dataset, judge=str(judge_file))
    with pytest.raises(ValueError, match="`measures` must be some of"):
        _evaluate(drawn, dataset, features="pixels", measures=("fid",))


def test_saved_statistics_give_the_same_distance_and_those_of_others_are_refused(
    fresh, dataset, judge_file, tmp_path
):
    job = Job(judge=str(judge_file))
    prepared = job.prepare(fresh.image_shape, None, dataset, progress=False)
    whole = run_job(prepared, fresh, "drawn", progress=False).figures
    path = tmp_path / "statistics.npz"
    path.write_bytes(prepared.statistics_file())
    found = _evaluate(fresh, path, judge=str(judge_file)).figures
    assert found["frechet_distance"] == pytest.approx(whole["frechet_distance"], rel=1e-9)
    assert found["share_as_asked"] == 1.0
    assert (found["precision"], found["real"]) == (None, None)
    arrays = dict(np.load(path))
    np.savez(tmp_path / "theirs.npz", mu=arrays["mu"], sigma=arrays["sigma"])
    theirs = _evaluate(fresh, tmp_path / "theirs.npz", judge=str(judge_file)).figures
    assert theirs["frechet_distance"] == found["frechet_distance"]
    np.savez(tmp_path / "other.npz", **{**arrays, "identity": "other"})
    with pytest.raises(ValueError, match=r"other\.npz holds statistics of other features"):
        _evaluate(fresh, tmp_path / "other.npz", judge=str(judge_file))
    np.savez(tmp_path / "wide.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    with pytest.raises(ValueError, match=r"statistics of 2048 features, where judge .* gives 2"):
        _evaluate(fresh, tmp_path / "wide.npz", judge=str(judge_file))
    np.savez(tmp_path / "counts.npz", **{**arrays, "class_counts": np.array([-1, 3])})
    with pytest.raises(ValueError, match=r"counts\.npz must hold how many images each class has"):
        _evaluate(fresh, tmp_path / "counts.npz", judge=str(judge_file))
    np.savez(tmp_path / "none.npz", images=np.zeros(3))
    with pytest.raises(ValueError, match=r"none\.npz must hold `mu` \[D\]"):
        _evaluate(fresh, tmp_path / "none.npz", judge=str(judge_file))


def test_saved_statistics_of_a_network_serve_without_the_judge(
    fresh, dataset, judge_file, tmp_path
):
    job = Job(features=str(judge_file), feature_output="features", judge=str(judge_file))
    path = tmp_path / "statistics.npz"
    path.write_bytes(
        job.prepare(fresh.image_shape, None, dataset, progress=False).statistics_file()
    )
    alone = {"features": str(judge_file), "feature_output": "features"}
    assert _evaluate(fresh, path, **alone).figures["frechet_distance"] > 0
    assert _evaluate(fresh, path, **alone, judge=str(judge_file)).figures["share_as_asked"] == 1.0


class _Page(html.parser.HTMLParser):
    """Collects what a report refers to, and refuses tags that are not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.words = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        self.words.append(text)


def test_the_report_is_one_whole_page_that_needs_nothing_else(save, dataset, judge_file):
    names = ("<dark>", "bright & light")
    odd = dataclasses.replace(dataset, class_names=names)
    result = _evaluate(save(*_images(2, 600)), odd, features="pixels")
    page = _Page()
    page.feed(result.report)
    assert page.open == []
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert len(page.sources) == 3  # the grid, the nearest of all, some by chance
    result = _evaluate(save(*_images(2, 600)), dataset, judge=str(judge_file))
    assert "What the judge reads" in result.report
    figures = result.figures
    for line, key in (("Precision", "precision"), ("Copies", "copies")):
        row = next(row for row in result.table.splitlines() if row.startswith(line))
        assert float(row.split()[1]) == pytest.approx(figures[key], rel=1e-3)


def test_counts_are_told_to_the_last_digit():
    told = table({"images": 50_000, "real": None, "copies": 12_345, "copies_by_chance": 0.5})
    assert "12345" in told
    assert "by chance 0.5" in told


def test_columns_that_do_not_compare_are_said_not_to():
    figures = {
        "images": 400, "kernel_distance": 0.25, "kernel_distance_sd": 0.125, "grain_levels": 2.0,
        "grain_levels_standard_error": None,
        "real": {"images": 180, "kernel_distance": 0.0, "grain_levels": 2.5},
    }  # fmt: skip
    told = table(figures).splitlines()
    assert told[2].split() == ["Kernel", "distance", "0.25", "spread", "0.1", "0", "lower"]
    assert (
        told[-1]
        == "Fewer images were held out than drawn. So these don't compare: Kernel distance."
    )
    figures["real"]["images"] = 400
    assert "compare" not in table(figures)


@pytest.mark.parametrize(
    ("counts", "columns", "shown"),
    [
        ((30, 30, 30), 10, "abc"),
        ((30, 1, 30), 10, "ac"),
        ((9, 10, 8), 8, "abc"),
        ((1, 1, 2), 2, "c"),
    ],
)
def test_a_class_of_few_images_does_not_shorten_the_rows_of_the_others(
    save, monkeypatch, counts, columns, shown
):
    labels, grids = np.repeat(np.arange(3), counts), []
    images = save(np.zeros((len(labels), 4, 4, 1), np.uint8), labels)
    monkeypatch.setattr("kdiffusion.evaluation.report.image_grid", lambda *grid: grids.append(grid))
    monkeypatch.setattr("kdiffusion.evaluation.report._embedded", lambda *_: "")
    _grid(images, labels, tuple("abc"))
    ((pixels, width, names),) = grids
    assert (len(pixels), width, "".join(names)) == (columns * len(shown), columns, shown)


def test_measures_that_need_more_real_images_are_left_out_or_refused(fresh):
    few = ImageDataset("toy", *_images(0, 150), *_images(1, 700), ("dark", "bright"), True)
    with pytest.raises(ValueError, match=r"precision_recall: it needs 500 real .* there are 150"):
        _evaluate(fresh, few, features="pixels", measures=("precision_recall",))
    figures = _evaluate(fresh, few, features="pixels").figures
    assert figures["precision"] is figures["coverage"] is None
    assert figures["kernel_distance"] is not None
    assert "there are 150" in figures["not_measured"]["density_coverage"]


def test_the_extrapolated_distance_is_without_the_bias_of_few_images():
    rng, dimensions = np.random.default_rng(0), 20
    real = RealImages(
        None,
        None,
        GaussianStatistics.of(np.zeros(dimensions), np.eye(dimensions)),
        None,
        None,
        None,
    )
    drawn = Drawn(rng.standard_normal((400, dimensions)), None, None, None, ())
    found = MEASURES["frechet"].compute(drawn, real)
    assert found["frechet_distance"] > 0.1  # of images that are perfect
    assert abs(found["frechet_distance_extrapolated"]) < 0.3 * found["frechet_distance"]


def test_errors_are_those_of_shares_means_and_subsets(fresh, dataset, judge_file):
    figures = _evaluate(fresh, dataset, judge=str(judge_file)).figures
    for name in ("precision", "recall", "coverage"):
        share = (600 * figures[name] + 1) / 602
        assert figures[f"{name}_standard_error"] == pytest.approx(
            (share * (1 - share) / 600) ** 0.5
        )
    grain = grain_levels(_images(2, 600)[0])
    assert figures["grain_levels_standard_error"] == pytest.approx(grain.std(ddof=1) / 600**0.5)
    judge = load_judge(judge_file)
    real, drawn = (judge.read(each)[1] for each in (dataset.images, _images(2, 600)[0]))
    assert figures["kernel_distance_sd"] == kernel_distance(drawn, real, 4, 600).std()
    # Held-out images are read beside their own labels: these show their class.
    assert figures["real"]["share_as_asked"] == 1.0
