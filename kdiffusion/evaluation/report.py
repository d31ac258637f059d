"""An evaluation as a person would rather see it: a table in text, and one HTML file."""

from __future__ import annotations

import base64
import html
import io
import string
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.images import image_grid

if TYPE_CHECKING:
    from kdiffusion.evaluation.evaluation import Evaluation
    from kdiffusion.evaluation.image_sets import ImageSet

PAGE = Path(__file__).with_name("report.html")
GRID_COLUMNS = 10
PAIRS = 8  # drawn images that are shown beside the training image nearest to them

# key ► (title, which way is better, what it tells)
ROWS = {
    "frechet_distance": (
        "Fréchet distance", "lower",
        ("Quality and variety in one number. Too large with few images: compare it only with "
        "numbers of as many images, on the same features."),
    ),
    "frechet_distance_extrapolated": (
        "… for ever more images", "lower",
        ("The same with the bias of the number of drawn images taken out, by its value at half of "
        "them."),
    ),
    "kernel_distance": (
        "Kernel distance", "lower",
        ("Quality and variety: near 0 for a perfect model, and below by chance. The spread is that "
        "of subsets."),
    ),
    "precision": ("Precision", "higher", "The share of drawn images that look like a real one."),
    "recall": ("Recall", "higher", "The share of real images that look like a drawn one."),
    "density": (
        "Density", "near 1", ("How many real images a drawn one is like; above 1 where the drawn "
        "keep to what is common."),
    ),
    "coverage": ("Coverage", "higher", "The share of real images with a drawn one beside them."),
    "share_as_asked": (
        "Share as asked", "higher",
        "The share that the judge reads as the class that was asked for.",
    ),
    "grain_levels": (
        "Grain", "as of real",
        ("Noise between neighbouring pixels, in levels of 255. Fine texture counts too, so compare "
        "it with that of real images: more is grain, less is blur."),
    ),
    "copies": (
        "Copies", "as by chance",
        ("Drawn images nearer to a training image than any held-out image is. By chance alone "
        "there are often twice as many, or none."),
    ),
    "near_training_share": (
        "Near a training image", "as by chance",
        ("The share of drawn images as near to a training image as the nearest 1 % of held-out "
        "images."),
    ),
    "nearest_distance_ratio": (
        "Distance to the nearest", "1",
        ("To the nearest training image, in the median, over that of held-out images; below 1 "
        "where the drawn are too like the training images."),
    ),
}  # fmt: skip
# What depends on how many images there are, so that fewer of them don't compare.
BY_COUNT = (
    "frechet_distance", "kernel_distance", "precision", "recall", "density", "coverage",
)  # fmt: skip


NETWORK_ROWS = {
    "structure": (
        "Structure", "lower",
        ("Error in the clean image at noise levels of 0.4 and more, as the mean logarithm of its "
        "ratio to the best linear guess of each value by itself: layout and shapes."),
    ),
    "detail": ("Detail", "lower", "The same at noise levels of 0.2 and less: texture and edges."),
    "label_nats": (
        "Label information", "higher",
        ("What the label tells the network of the image, in nats; for a perfect one at most ln "
        "(classes). More says that the network is poor without a label."),
    ),
}  # fmt: skip


def table(figures: Mapping[str, Any]) -> str:
    """The figures in lines of text: drawn beside held-out real images."""
    lines: list[tuple[str, ...]] = [("", "drawn", "", "held-out real", "better")]
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
    return f"Fewer images were held out than drawn. So these don't compare: {', '.join(titles)}."


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
    evaluation: Evaluation,
    images: ImageSet,
    labels: np.ndarray | None,
    real_images: np.ndarray | None,
    labels_of_asked: Sequence[str] | None,
) -> str:
    """The report as one HTML text that needs no other file.

    Args:
        evaluation: Evaluation; its figures with all that evaluation.json says beside them.
        images: ImageSet that was evaluated.
        labels: int array `[N]` or None.
        real_images: uint8 array `[M, H, W, C]`, the training images; None where there are none.
        labels_of_asked: tuple of str, the names of the labels; None where there are no labels.

    Returns:
        str.
    """
    figures = evaluation.figures
    sections = [
        _figures(figures),
        _grid(images, labels, labels_of_asked),
        _judged(figures),
        _nearest(evaluation, images, real_images),
        _network(figures),
        _settings(figures),
    ]
    page = string.Template(PAGE.read_text(encoding="utf-8"))
    return page.substitute(
        title=f"Evaluation of {html.escape(Path(figures['source']).name)}",
        summary=f"{figures['images']:,} images against {html.escape(figures['data'])}, by features "
        f"of {html.escape(figures['features'])}",
        body="\n".join(filter(None, sections)),
    )


def _figures(figures):
    real = figures["real"] or {}
    rows = []
    for key, (title, better, note) in ROWS.items():
        if figures.get(key) is None:
            continue
        (value, error), (real_value, real_error) = _value(figures, key), _value(real, key)
        kind = "number real" if real_value else "number real none"
        rows.append(
            f"<tr><th scope='row'>{title}</th>"
            f"<td class='number'>{value} <span class='error'>{error}</span></td>"
            f"<td class='{kind}'>{real_value or '–'} <span class='error'>{real_error}</span></td>"
            f"<td class='note'>Better: {better}. {note}</td></tr>"
        )
    beside = f"held-out real, {real['images']:,}" if real else "held-out real"
    text = "".join(
        f"<li>{html.escape(name)} was not measured: {html.escape(reason)}.</li>"
        for name, reason in figures["not_measured"].items()
    )
    return (
        "<h2>Figures</h2>"
        "<p>Held-out real images are scored as if they had been drawn: that is what a perfect "
        f"model would reach with so many images. {_fewer_held_out(figures)}</p>"
        "<table class='figures'><thead><tr><th>measure</th><th class='number'>drawn</th>"
        f"<th class='number'>{beside}</th><th>what it tells</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
        + (f"<ul class='faint'>{text}</ul>" if text else "")
    )


def _grid(images, labels, names):
    if labels is not None:
        classes = np.unique(labels)
        rows = {label: np.flatnonzero(labels == label)[:GRID_COLUMNS] for label in classes}
        # A class of which few were drawn would make all rows as short as its own.
        most = max(map(len, rows.values()))
        rows = {label: row for label, row in rows.items() if len(row) > most / 2}
        shown = list(rows)[:20]
        columns = min(len(rows[label]) for label in shown)
        indices = np.concatenate([rows[label][:columns] for label in shown])
        row_names = [names[label] for label in shown]
        return "<h2>Drawn images</h2>" + _embedded(
            image_grid(images.pick(indices), columns, row_names), "Drawn images, a row per class"
        )
    first = np.arange(min(images.count, GRID_COLUMNS**2))
    grid = image_grid(images.pick(first), GRID_COLUMNS)
    return "<h2>Drawn images</h2>" + _embedded(grid, "The first drawn images")


def _judged(figures):
    if figures.get("share_as_asked") is None:
        return ""
    confusion, names = np.array(figures["confusion"]), list(figures["share_by_class"])
    asked = np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    real = (figures["real"] or {}).get("share_by_class", {})
    shares = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td><meter min='0' max='1' "
        f"value='{share:.3f}'>{share:.3f}</meter></td><td class='number'>{share:.3f}</td>"
        f"<td class='number faint'>{_or_dash(real.get(name))}</td>"
        f"<td class='number faint'>{figures['share_read'][name]:.3f}</td></tr>"
        for name, share in figures["share_by_class"].items()
        if share is not None
    )
    head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th>"
        + "".join(_shaded(count, share) for count, share in zip(row, row / total, strict=True))
        + "</tr>"
        for name, row, total in zip(names, confusion, asked, strict=True)
    )
    return (
        "<h2>Shares by class</h2><div class='wide'><table><thead><tr><th>asked for</th><th></th>"
        "<th class='number'>read as asked</th><th class='number'>held-out real</th>"
        "<th class='number'>of all images, read as this</th></tr></thead>"
        f"<tbody>{shares}</tbody></table></div>"
        "<h2>What the judge reads</h2><p>A row is the class that was asked for, a column what the "
        f"judge reads, in numbers of images.</p><div class='wide'><table class='confusion'>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _shaded(count, share):
    tone = "dark" if share > 0.5 else "light"
    lightness = 97 - 62 * share  # of 100
    return f"<td class='{tone}' style='background: hsl(214 65% {lightness:.0f}%)'>{count}</td>"


def _or_dash(value):
    return "–" if value is None else f"{value:.3f}"


def _nearest(evaluation, images, real_images):
    copies = evaluation.copies
    if copies is None:
        return ""
    count = len(copies.distances)
    closest = np.argsort(copies.distances, kind="stable")[:PAIRS]
    rng = np.random.default_rng(evaluation.drawn.seed)
    others = np.sort(rng.choice(count, min(PAIRS, count), replace=False))
    parts = []
    for title, chosen in (("The nearest of all", closest), ("Some, by chance", others)):
        pairs = np.concatenate([images.pick(chosen), real_images[copies.nearest[chosen]]])
        grid = image_grid(pairs, len(chosen), ["drawn", "training"])
        distances = ", ".join(f"{value:.3g}" for value in copies.distances[chosen])
        parts.append(
            f"<p>{title}. Distances: <span class='faint'>{distances}</span></p>"
            + _embedded(grid, f"{title}: drawn images above the nearest training images")
        )
    held_out = copies.fresh_distances
    known = "All held-out images are training images, too."
    if len(held_out):
        known = (
            f"Held-out images lie at {np.median(held_out):.3g} from the nearest training image in "
            f"the median; the nearest of them at {held_out.min():.3g}."
        )
    return f"<h2>Nearest training images</h2><p>{known}</p>{''.join(parts)}"


def _network(figures):
    network = figures["network"]
    if not network:
        return ""
    rows = "".join(
        f"<tr><th scope='row'>{title}</th><td class='number'>{value} "
        f"<span class='error'>{error}</span></td>"
        f"<td class='note'>Better: {better}. {note}</td></tr>"
        for key, (title, better, note) in NETWORK_ROWS.items()
        for value, error in [_value(network, key)]
    )
    levels = zip(network["sigmas"], network["x0_errors"], network["relative_errors"], strict=True)
    errors = "".join(
        f"<tr><td class='number'>{sigma:g}</td><td class='number'>{error:.4g}</td>"
        f"<td class='number'>{relative:.4g}</td></tr>"
        for sigma, error, relative in levels
    )
    return (
        "<h2>The network, without drawing</h2><p>Measured on "
        f"{network['images']:,} held-out images.</p>"
        "<table class='figures'><thead><tr><th>measure</th><th class='number'>value</th>"
        f"<th>what it tells</th></tr></thead><tbody>{rows}</tbody></table>"
        "<div class='wide'><table><thead><tr><th class='number'>noise level</th>"
        "<th class='number'>squared error</th><th class='number'>over the linear guess</th>"
        f"</tr></thead><tbody>{errors}</tbody></table></div>"
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
    rows = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in entries.items()
        if value is not None
    )
    return f"<h2>What was asked</h2><dl>{rows}</dl>"


def _embedded(image, description):
    with io.BytesIO() as file:
        image.save(file, format="PNG")
        content = base64.b64encode(file.getvalue()).decode()
    return f"<img alt='{html.escape(description)}' src='data:image/png;base64,{content}'>"
