"""An evaluation for a person: a table in text, and report.html."""

from __future__ import annotations

import base64
import html
import io
import string
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.images import image_grid

if TYPE_CHECKING:
    from .image_sets import ImageSet
    from .real import Real

PAGE = Path(__file__).with_name("report.html")
GRID_COLUMNS, GRID_ROWS = 10, 20
PAIRS = 8  # samples that are shown above the training image nearest to them

# key ► (title, which way is better, what it tells)
ROWS = {
    "frechet_distance": (
        "Fréchet distance", "lower",
        ("Quality and variety in one number. Too large with few images: compare it only with "
        "numbers of as many images, on the same features."),
    ),
    "frechet_distance_extrapolated": (
        "… for ever more images", "lower",
        "The same without the bias of the number of samples, by its value at half of them.",
    ),
    "kernel_distance": (
        "Kernel distance", "lower",
        ("Quality and variety: near 0 for a perfect model, and below by chance. The spread is that "
        "of subsets."),
    ),
    "precision": ("Precision", "higher", "The share of samples that look like a real image."),
    "recall": ("Recall", "higher", "The share of real images that look like a sample."),
    "density": (
        "Density", "near 1",
        "How many real images a sample is like; above 1 where samples keep to what is common.",
    ),
    "coverage": ("Coverage", "higher", "The share of real images with a sample beside them."),
    "share_as_asked": (
        "Share as asked", "higher",
        "The share of samples that the judge, a classifier, reads as the class asked for.",
    ),
    "grain_levels": (
        "Grain", "as real images",
        ("Noise between neighbouring pixels, in levels of 255. Fine texture counts too, so compare "
        "it with that of real images: more is grain, less is blur."),
    ),
    "copies": (
        "Copies", "as by chance",
        ("Samples nearer to a training image than any held-out image is. By chance alone there are "
        "often twice as many, or none."),
    ),
    "near_training_share": (
        "Near a training image", "as by chance",
        "The share of samples as near to a training image as the nearest 1 % of held-out images.",
    ),
    "nearest_distance_ratio": (
        "Distance to the nearest", "1",
        ("To the nearest training image, in the median, over that of held-out images; below 1 "
        "where samples are too like the training images."),
    ),
}  # fmt: skip
# What depends on how many images there are, so that fewer of them don't compare.
BY_COUNT = (
    "frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage",
)  # fmt: skip


NETWORK_ROWS = {
    "structure": (
        "Structure", "lower",
        ("Log denoising error relative to the best per-pixel linear denoiser, averaged over "
        "sigma >= 0.4: layout and shapes."),
    ),
    "detail": ("Detail", "lower", "The same over sigma <= 0.2: texture and edges."),
    "label_nats": (
        "Label information", "higher",
        ("What the label says about the image, in nats; at most ln(classes) for a perfect network. "
        "More: the network is poor without a label."),
    ),
}  # fmt: skip


def table(figures: Mapping[str, Any]) -> str:
    """The figures in lines of text: samples beside held-out real images."""
    lines: list[tuple[str, ...]] = [("", "samples", "", "held-out real", "better")]
    real = figures["real"] or {}
    lines.append(("images", f"{figures['images']}", "", f"{real.get('images', '')}", ""))
    for key, (title, better, _) in ROWS.items():
        if figures.get(key) is not None:
            lines.append((title, *_value(figures, key), " ".join(_value(real, key)), better))
    for key, (title, better, _) in NETWORK_ROWS.items():
        if figures.get("network"):
            lines.append((title, *_value(figures["network"], key), "", better))
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    rows = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return "\n".join([*rows, *textwrap.wrap(_fewer_held_out(figures), 80)])


def _fewer_held_out(figures):
    """A sentence where the two columns don't compare, else none."""
    real = figures["real"] or {}
    titles = [ROWS[key][0] for key in BY_COUNT if real.get(key) is not None]
    if not titles or real["images"] >= figures["images"]:
        return ""
    return f"Fewer images were held out than sampled. So these don't compare: {', '.join(titles)}."


def _value(figures, key):
    """(value, error) as text, empty where there is none."""
    value = figures.get(key)
    if value is None:
        return "", ""
    text = str(value) if isinstance(value, int) else f"{value:.4g}"  # a count to the last digit
    beside = {"by_chance": "by chance {:.2g}", "sd": "spread {:.1g}"}
    beside |= dict.fromkeys(("standard_error", "se"), "± {:.1g}")
    for ending, words in beside.items():
        if figures.get(f"{key}_{ending}") is not None:
            return text, words.format(figures[f"{key}_{ending}"])
    return text, ""


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
        "Shares by class": _shares(figures),
        "What the judge, a classifier, reads": _confusion(figures),
        "Nearest training images": _nearest(samples, real, nearest),
        "The network, without sampling": _network(figures["network"]),
        "Settings": _settings(figures),
    }
    return string.Template(PAGE.read_text(encoding="utf-8")).substitute(
        title=f"Evaluation of {html.escape(Path(figures['source']).name)}",
        summary=f"{figures['images']:,} images against {html.escape(figures['data'])}, by features "
        f"of {html.escape(figures['features'])}",
        body="\n".join(f"<h2>{title}</h2>{text}" for title, text in sections.items() if text),
    )


def _rows(rows: Iterable[Iterable[Any]], head: Iterable[str] = (), kind: str = "") -> str:
    """A table: the first cell of a row is its heading, and names are escaped."""
    lines = [
        "".join(
            f"<{tag}>{cell if isinstance(cell, _Html) else html.escape(str(cell))}</{tag}>"
            for tag, cell in zip(["th", *99 * ["td"]], row, strict=False)
        )
        for row in rows
    ]
    heading = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return (
        f"<div class='wide'><table class='{kind}'><thead><tr>{heading}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


class _Html(str):
    """Text that is HTML already."""


def _figures(figures):
    real = figures["real"] or {}
    rows = [
        (title, " ".join(_value(figures, key)), " ".join(_value(real, key)) or "–",
         f"Better: {better}. {note}")
        for key, (title, better, note) in ROWS.items()
        if figures.get(key) is not None
    ]  # fmt: skip
    left_out = "".join(
        f"<li>{html.escape(name)} was not measured: {html.escape(reason)}.</li>"
        for name, reason in figures["not_measured"].items()
    )
    return (
        "<p>Held-out real images are measured as if they were samples: a perfect model would reach "
        f"that with so many. {_fewer_held_out(figures)}</p>"
        + _rows(rows, ("measure", "samples", f"held-out real, {real.get('images', 0):,}", ""))
        + f"<ul class='faint'>{left_out}</ul>"
    )


def _grid(samples, names):
    images, labels = samples.images, samples.labels
    if labels is None or names is None or labels.max() >= len(names):
        first = images[: GRID_COLUMNS**2]
        return _embedded(image_grid(first, GRID_COLUMNS), "The first samples")
    names = samples.class_names or names
    rows = {label: np.flatnonzero(labels == label)[:GRID_COLUMNS] for label in np.unique(labels)}
    # A class of few samples would make all rows as short as its own.
    most = max(map(len, rows.values()))
    shown = [label for label, row in rows.items() if len(row) > most / 2][:GRID_ROWS]
    columns = min(len(rows[label]) for label in shown)
    indices = np.concatenate([rows[label][:columns] for label in shown])
    grid = image_grid(images[indices], columns, [names[label] for label in shown])
    return _embedded(grid, "Samples, a row per class")


def _shares(figures):
    if figures.get("share_as_asked") is None:
        return ""
    real = (figures["real"] or {}).get("share_by_class", {})
    rows = [
        (name, _Html(f"<meter value='{share:.3f}'></meter> {share:.3f}"), _share(real.get(name)),
         _share(figures["share_read"][name]))
        for name, share in figures["share_by_class"].items()
        if share is not None
    ]  # fmt: skip
    return _rows(rows, ("asked for", "read as asked", "held-out real", "read as this, of all"))


def _confusion(figures):
    if figures.get("share_as_asked") is None:
        return ""
    names = list(figures["share_by_class"])
    rows = [
        (name, *(_shaded(count, count / max(sum(row), 1)) for count in row))
        for name, row in zip(names, figures["confusion"], strict=True)
    ]
    return (
        "<p>A row is the class that was asked for, a column the class that was read, in numbers of "
        f"images.</p>{_rows(rows, ('', *names), 'confusion')}"
    )


def _shaded(count, share):
    ink = "#fff" if share > 0.5 else "#1d1f24"
    style = f"background: hsl(214 65% {97 - 62 * share:.0f}%); color: {ink}"
    return _Html(f"<span style='{style}'>{count}</span>")


def _share(value):
    return "–" if value is None else f"{value:.3f}"


def _nearest(samples, real, nearest):
    if nearest is None:
        return ""
    indices, distances = nearest
    closest = np.argsort(distances, kind="stable")[:PAIRS]
    some = np.linspace(0, len(distances) - 1, min(PAIRS, len(distances))).astype(int)
    parts = []
    for title, chosen in (("The nearest of all", closest), ("Some", some)):
        pairs = np.concatenate([samples.images[chosen], real.dataset.images[indices[chosen]]])
        said = ", ".join(f"{value:.3g}" for value in distances[chosen])
        parts.append(
            f"<p>{title}. Distances: <span class='faint'>{said}</span></p>"
            + _embedded(image_grid(pairs, len(chosen), ["sample", "training"]), title)
        )
    return "".join(parts)


def _network(network):
    if not network:
        return ""
    rows = [
        (title, " ".join(_value(network, key)), f"Better: {better}. {note}")
        for key, (title, better, note) in NETWORK_ROWS.items()
    ]
    levels = zip(network["sigmas"], network["x0_errors"], network["relative_errors"], strict=True)
    errors = [(f"{sigma:g}", f"{error:.4g}", f"{ratio:.4g}") for sigma, error, ratio in levels]
    return (
        f"<p>Measured on {network['images']:,} held-out images.</p>"
        + _rows(rows, ("measure", "value", ""))
        + _rows(errors, ("noise level", "squared error", "over the linear denoiser's"))
    )


def _settings(figures):
    judge = figures["judge"] or {}
    accuracy = ", ".join(f"{kind} {share:.3f}" for kind, share in judge.get("accuracy", {}).items())
    entries = {
        "source": figures["source"],
        "data": figures["data"],
        "validation images": figures["held_out"],
        "features": figures["features"],
        "judge": f"{judge['name']}; held-out images read right: {accuracy}" if judge else "none",
        **{f"sampler: {name}": value for name, value in figures["sampler"].items()},
        "seed of subsets": figures["seed"],
        "seconds": figures["seconds"],
    }
    return _rows([each for each in entries.items() if each[1] is not None])


def _embedded(image, description):
    with io.BytesIO() as file:
        image.save(file, format="PNG")
        content = base64.b64encode(file.getvalue()).decode()
    return f"<img alt='{html.escape(description)}' src='data:image/png;base64,{content}'>"
