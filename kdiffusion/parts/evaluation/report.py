"""An evaluation for a person: a table in text, and report.html."""

import base64
import html
import string
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kdiffusion.images import image_grid, png_bytes

from .image_sets import ImageSet
from .real_images import Real

PAGE = Path(__file__).with_name("report.html")
GRID_COLUMNS, GRID_ROWS = 10, 20
PAIRS = 8  # samples that are shown above the training image nearest to them

# key ► (title, which way is better, what it tells)
ROWS = {
    "frechet_distance": (
        "Fréchet distance", "lower", "Quality and variety; far too large with few images."
    ),
    "frechet_distance_extrapolated": (
        "Fréchet distance, extrapolated", "lower", "The same without the bias of few samples."
    ),
    "kernel_distance": (
        "Kernel distance", "lower", "Quality and variety; by chance it may be below 0."
    ),
    "precision": ("Precision", "higher", "The share of samples that look like a real image."),
    "recall": ("Recall", "higher", "The share of real images that look like a sample."),
    "share_as_asked": (
        "Accuracy", "higher", "The share that the classifier assigns to the requested class."
    ),
    "grain_levels": (
        "Grain", "as real images", "Noise in levels of 255: more is grain, less is blur."
    ),
    "saturation": ("Saturation", "as real images", "Of colours: 0 is grey, 1 is pure."),
    "copies": (
        "Copies", "as by chance", "Samples nearer to a training image than any held-out image."
    ),
    "near_training_share": (
        "Near a training image", "as by chance",
        "The share of samples as near as the nearest 1 % of held-out images.",
    ),
    "nearest_distance_ratio": (
        "Distance to the nearest", "1",
        "Over that of held-out images; below 1 where samples are too like training images.",
    ),
    # Of the network, without sampling.
    "structure": (
        "Structure", "lower",
        ("The network's log denoising error relative to the best per-pixel linear denoiser, "
        "averaged over sigma >= 0.4."),
    ),
    "detail": ("Detail", "lower", "The same over sigma <= 0.2."),
}  # fmt: skip
# What depends on how many images there are, so that fewer of them don't compare.
BY_COUNT = ("frechet_distance", "kernel_distance", "precision", "recall")
# Ending of the key of what is shown beside a figure ► how.
BESIDE = {"by_chance": "({:.2g} by chance)", "sd": "(s.d. {:.1g})", "standard_error": "± {:.1g}"}


def table(figures: Mapping[str, Any]) -> str:
    """The figures in lines of text: samples beside held-out real images."""
    lines = [
        ("", "samples", "held-out real", "better"),
        ("images", f"{figures['images']}", f"{figures['real']['images']}", ""),
        *(row[:-1] for row in _measured(figures)),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([*rows, *textwrap.wrap(_fewer_held_out(figures), 80)])


def _measured(figures):
    """Of each figure: (title, value, that of held-out images, better, what it tells)."""
    found = {**(figures["network"] or {}), **figures}
    for key, (title, better, note) in ROWS.items():
        if found.get(key) is not None:
            yield title, _value(found, key), _value(figures["real"], key), better, note


def _fewer_held_out(figures):
    """A sentence where the two columns don't compare, else none."""
    real = figures["real"]
    titles = [ROWS[key][0] for key in BY_COUNT if real.get(key) is not None]
    if not titles or real["images"] >= figures["images"]:
        return ""
    return f"Fewer images were held out than sampled. So these don't compare: {', '.join(titles)}."


def _value(figures, key):
    """A figure as text, with its error; empty where there is none."""
    value = figures.get(key)
    if value is None:
        return ""
    text = str(value) if isinstance(value, int) else f"{value:.4g}"  # a count to the last digit
    beside = ((words, figures.get(f"{key}_{ending}")) for ending, words in BESIDE.items())
    return " ".join([text, *(words.format(error) for words, error in beside if error is not None)])


def report(
    figures: Mapping[str, Any],
    samples: ImageSet,
    real: Real,
    nearest: tuple[np.ndarray, np.ndarray] | None,
) -> str:
    """The report as one HTML text that needs no other file.

    Args:
        figures: dict of evaluation.json.
        samples: ImageSet that was measured.
        real: Real.
        nearest: what `measure` gave beside the figures.
    """
    sections = {
        "Figures": _figures(figures),
        "Samples": _grid(samples, real.class_names),
        "What the judge, a classifier, reads": _judged(figures),
        "Nearest training images": _nearest(samples, real, nearest),
        "Settings": _settings(figures),
    }
    return string.Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=f"Evaluation of {html.escape(Path(figures['source']).name)}",
        summary=f"{figures['images']:,} samples against {html.escape(figures['data'])}, by features"
        f" of {html.escape(figures['features'])}. {_fewer_held_out(figures)}",
        body="\n".join(f"<h2>{title}</h2>{text}" for title, text in sections.items() if text),
    )


def _rows(head: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """A table; the first cell of a row is its heading."""

    def line(cells, tag):
        first, *others = (html.escape(str(cell)) for cell in cells)
        return f"<tr><th>{first}</th>{''.join(f'<{tag}>{cell}</{tag}>' for cell in others)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<div><table><thead>{line(head, 'th')}</thead><tbody>{body}</tbody></table></div>"


def _figures(figures):
    held_out = f"{figures['real']['images']:,} held-out real images"
    left_out = figures["not_measured"].items()
    rows = [(name, "", "", "", f"not measured: {why}") for name, why in left_out]
    head = ("measure", "samples", held_out, "better", "what it tells")
    return _rows(head, [*_measured(figures), *rows])


def _grid(samples, names):
    images, labels, names = samples.images, samples.labels, samples.class_names or names
    if labels is None or names is None or labels.max() >= len(names):
        return _embedded(image_grid(images[: GRID_COLUMNS**2], GRID_COLUMNS), "Samples")
    rows = {label: np.flatnonzero(labels == label)[:GRID_COLUMNS] for label in np.unique(labels)}
    # A class of few samples would make all rows as short as its own.
    most = max(map(len, rows.values()))
    shown = [label for label, row in rows.items() if len(row) > most / 2][:GRID_ROWS]
    columns = min(len(rows[label]) for label in shown)
    indices = np.concatenate([rows[label][:columns] for label in shown])
    grid = image_grid(images[indices], columns, [names[label] for label in shown])
    return _embedded(grid, "Samples, a row per class")


def _judged(figures):
    """A row for each class that was asked for: how many images were read as each class."""
    if "confusion" not in figures:
        return ""
    names = figures["share_by_class"].keys()
    rows = [(name, *read) for name, read in zip(names, figures["confusion"], strict=True)]
    return _rows(("asked for", *(f"read as {name}" for name in names)), rows)


def _nearest(samples, real, nearest):
    """The samples that are nearest to a training image, above it."""
    if nearest is None:
        return ""
    indices, distances = nearest
    chosen = np.argsort(distances, kind="stable")[:PAIRS]
    pairs = np.concatenate([samples.images[chosen], real.dataset.images[indices[chosen]]])
    grid = image_grid(pairs, len(chosen), ["sample", "training"])
    said = ", ".join(f"{value:.3g}" for value in distances[chosen])
    return f"<p>Distances: {said}</p>{_embedded(grid, 'Samples above training images')}"


def _settings(figures):
    named = {name: figures[name] for name in ("source", "held_out", "judge", "seed")}
    entries = {**named, **figures["sampler"]}
    return _rows(("", ""), [each for each in entries.items() if each[1] is not None])


def _embedded(image, description):
    content = base64.b64encode(png_bytes(image)).decode()
    return f"<img alt='{html.escape(description)}' src='data:image/png;base64,{content}'>"
