"""What the measures of `evaluate` say of real images: their bias with N, and what moves them.

    python -m benchmarks.evaluation_curves --data cifar10

Held-out images are scored as if drawn: first as they are, 500 to 10,000 of them, then with one
defect at a time. It writes evaluation_NAME.md, .csv and .png into docs/results; the plot needs
matplotlib.
"""

import csv
from pathlib import Path

import numpy as np
import tyro
from PIL import Image, ImageFilter

from kdiffusion.commands.outputs import refuse_outputs
from kdiffusion.data import load_dataset
from kdiffusion.evaluation.evaluation import measure
from kdiffusion.evaluation.image_sets import ImageSet
from kdiffusion.evaluation.real import read_real
from kdiffusion.files import staged

SHOWN = (
    "frechet_distance", "frechet_distance_extrapolated", "kernel_distance", "kernel_distance_sd",
    "precision", "recall", "density", "coverage", "share_as_asked", "grain_levels",
    "copies", "near_training_share", "nearest_distance_ratio",
)  # fmt: skip
OF_COUNT = SHOWN[:9]


def blurred(images, labels, dataset, rng):
    """Gaussian blur of 0.7 pixels."""
    grey = images.shape[-1] == 1
    soft = [
        np.asarray(Image.fromarray(i[..., 0] if grey else i).filter(ImageFilter.GaussianBlur(0.7)))
        for i in images
    ]
    return np.stack(soft).reshape(images.shape), labels


def grainy(images, labels, dataset, rng):
    """Gaussian grain of 10 levels."""
    noisy = images + rng.normal(0, 10, images.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), labels


def wrong_labels(images, labels, dataset, rng):
    """One image in ten under the next label."""
    wrong = np.arange(len(labels)) % 10 == 0
    return images, np.where(wrong, (labels + 1) % dataset.num_classes, labels)


def class_missing(images, labels, dataset, rng):
    """Images of the first class replaced by others."""
    others = np.flatnonzero(labels != 0)
    chosen = np.concatenate([others, rng.choice(others, len(labels) - len(others))])
    return images[chosen], labels[chosen]


def ten_copies(images, labels, dataset, rng):
    """Ten training images in place of ten."""
    return np.concatenate([dataset.images[:10], images[10:]]), np.concatenate(
        [dataset.labels[:10], labels[10:]]
    )


def few_kinds(images, labels, dataset, rng):
    """A tenth of the images, ten times each."""
    chosen = np.arange(len(images)) // 10
    return images[chosen], labels[chosen]


DEFECTS = {
    "none": lambda images, labels, dataset, rng: (images, labels),
    "blur": blurred,
    "grain": grainy,
    "wrong labels, one in ten": wrong_labels,
    "one class missing": class_missing,
    "ten copies": ten_copies,
    "each ten times": few_kinds,
}


def curve(real, counts, seed):
    """Rows of the measures over the number of images, by held-out images as they are."""
    dataset, order = real.dataset, np.random.default_rng(seed).permutation
    for count in counts:
        chosen = np.sort(order(len(dataset.validation_images))[:count])
        print(f"{count} images", flush=True)
        images, labels = dataset.validation_images[chosen], dataset.validation_labels[chosen]
        yield {"images": count, **_measure(images, labels, real, seed)}


def defects(real, count, seed):
    """Rows of the measures, by held-out images with one defect each."""
    dataset = real.dataset
    chosen = np.sort(
        np.random.default_rng(seed).permutation(len(dataset.validation_images))[:count]
    )
    for name, spoil in DEFECTS.items():
        print(name, flush=True)
        images, labels = spoil(
            dataset.validation_images[chosen], dataset.validation_labels[chosen], dataset,
            np.random.default_rng(seed),
        )  # fmt: skip
        yield {"defect": name, **_measure(images, labels, real, seed)}


def _measure(images, labels, real, seed):
    found, _ = measure(ImageSet(images, labels.astype(np.int64)), real, seed=seed, progress=False)
    return {key: found[key] for key in SHOWN if found.get(key) is not None}


def table(rows, first, columns):
    """Rows as a Markdown table."""
    columns = [first, *(name for name in columns if any(name in row for row in rows))]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = [row.get(name, "–") for name in columns]
        cells = [f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in cells]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(rows, path):
    """The measures over the number of images."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    groups = (OF_COUNT[:2], OF_COUNT[2:3], OF_COUNT[4:9])
    for names, panel in zip(groups, panels, strict=True):
        for name in names:
            points = [row for row in rows if name in row]
            if not points:
                continue
            x, y = ([row[key] for row in points] for key in ("images", name))
            if name == "kernel_distance":
                panel.errorbar(
                    x, y, [row["kernel_distance_sd"] for row in points], fmt="o-", label=name
                )
            else:
                panel.plot(x, y, "o-", label=name)
        panel.set(xlabel="held-out real images", xscale="log")
        counts = [row["images"] for row in rows]
        panel.set_xticks(counts, [f"{count:,}" for count in counts])
        panel.xaxis.minorticks_off()
        panel.axhline(0, color="grey", linewidth=0.8)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.savefig(path, format="png", dpi=100)


def main(
    data: str,
    name: str | None = None,
    directory: Path | None = None,
    judge: str | None = None,
    features: str | None = None,
    counts: tuple[int, ...] = (500, 1000, 2000, 5000, 10_000),
    images: int = 5000,
    seed: int = 0,
    out: Path = Path("docs/results"),
    overwrite: bool = False,
):
    """Measures real images as if they were drawn.

    Args:
        data: name of the data set.
        name: of the results, evaluation_NAME; the data set's if not given.
        directory: where it lies.
        judge: name or ONNX file of a judge; the data set's if not given.
        features: as for `kdiffusion evaluate`.
        counts: numbers of images for the curve; those above the held-out ones are left out.
        images: for the defects.
        seed: of the choice of images.
        out: folder for the results.
        overwrite: replace earlier results.
    """
    paths = {kind: out / f"evaluation_{name or data}.{kind}" for kind in ("md", "csv", "png")}
    refuse_outputs(*paths.values(), overwrite=overwrite)
    dataset = load_dataset(data, directory=directory)
    most = len(dataset.validation_images)
    images = min(images, most)
    shape, names = dataset.image_shape, dataset.class_names
    real = read_real(dataset, shape, names, judge=judge, features=features)
    of_count = list(curve(real, [n for n in counts if n <= most], seed))
    of_defect = list(defects(real, images, seed))
    chosen = {
        "name": name,
        "directory": directory,
        "judge": judge and Path(judge).name,
        "features": features,
        "seed": seed or None,
        "counts": " ".join(map(str, counts)),
        "images": images,
    }
    options = "".join(f" --{key} {value}" for key, value in chosen.items() if value is not None)
    read, accuracy = real.reader.judge, ""
    if read is not None:
        shares = ", ".join(f"{100 * share:.1f} % ({k})" for k, share in read.accuracy.items())
        command, separator, rest = read.how_made.partition(";")
        accuracy = (
            f"\n\nOf held-out images, the judge reads right: {shares}. It was made by "
            f"`{command}`{separator}{rest}."
        )
    text = f"""# Real images as if drawn: {dataset.name}

Held-out images of `{dataset.name}` against its {len(dataset.images):,} training images, on
{real.features.shape[1]} features of {real.reader.name}. Made by

    python -m benchmarks.evaluation_curves --data {data}{options}{accuracy}

## Bias with the number of images

{table(of_count, "images", OF_COUNT)}

![The measures over the number of images]({paths["png"].name})

## One defect at a time, {images:,} images

{table(of_defect, "defect", SHOWN)}
"""
    with staged(paths["csv"], overwrite) as file, open(file, "w", newline="") as stream:
        writer = csv.DictWriter(stream, ["images", "defect", *SHOWN])
        writer.writeheader()
        writer.writerows([*of_count, *({"images": images, **row} for row in of_defect)])
    with staged(paths["png"], overwrite) as file:
        plot(of_count, file)
    with staged(paths["md"], overwrite) as file:
        file.write_text(text, encoding="utf-8")
    print(f"Written: {paths['md']}")


if __name__ == "__main__":
    tyro.cli(main)
