"""What the measures of `evaluate` find in real images: their bias with N, and what moves them.

    python -m benchmarks.evaluation_curves cifar10

Held-out images are measured as if they were samples: first different numbers of them, then with one
defect at a time. Both tables are printed in Markdown.
"""

from typing import Annotated

import numpy as np
import tyro
from PIL import Image, ImageFilter

from kdiffusion import load_dataset
from kdiffusion.parts.evaluation.evaluation import measure
from kdiffusion.parts.evaluation.image_sets import ImageSet
from kdiffusion.parts.evaluation.real_images import read_real

SHOWN = (
    "frechet_distance", "frechet_distance_extrapolated", "kernel_distance", "kernel_distance_sd",
    "precision", "recall", "share_as_asked", "grain_levels",
    "copies", "near_training_share", "nearest_distance_ratio",
)  # fmt: skip


def _blurred(images, labels, data, rng):
    blur = ImageFilter.GaussianBlur(0.7)
    soft = [np.asarray(Image.fromarray(np.squeeze(image)).filter(blur)) for image in images]
    return np.stack(soft).reshape(images.shape), labels


def _grainy(images, labels, data, rng):
    noisy = images + rng.normal(0, 10, images.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), labels


def _wrong_labels(images, labels, data, rng):
    wrong = np.arange(len(labels)) % 10 == 0
    return images, np.where(wrong, (labels + 1) % data.num_classes, labels)


def _class_missing(images, labels, data, rng):
    others = np.flatnonzero(labels != 0)
    chosen = np.concatenate([others, rng.choice(others, len(labels) - len(others))])
    return images[chosen], labels[chosen]


def _copies(images, labels, data, rng):
    return (
        np.concatenate([data.images[:10], images[10:]]),
        np.concatenate([data.labels[:10], labels[10:]]),
    )


def _repeated(images, labels, data, rng):
    chosen = np.arange(len(images)) // 10
    return images[chosen], labels[chosen]


DEFECTS = {
    "none": lambda images, labels, data, rng: (images, labels),
    "blur of 0.7 pixels": _blurred,
    "grain of 10 levels": _grainy,
    "wrong labels, one in ten": _wrong_labels,
    "one class missing": _class_missing,
    "ten copies of training images": _copies,
    "a tenth of the images, ten times each": _repeated,
}


def main(
    data: Annotated[str, tyro.conf.Positional],
    counts: tuple[int, ...] = (500, 1000, 2000, 5000, 10_000),
    images: int = 1000,
):
    """Measures real images as if they were samples.

    Args:
        data: name of the data set.
        counts: numbers of images in the first table, at most the held-out ones.
        images: in each row of the second table.
    """
    dataset = load_dataset(data)
    real = read_real(dataset, dataset.image_shape, dataset.class_names)
    order = np.random.default_rng(0).permutation(len(dataset.validation_images))

    def row(name, count, spoil):
        chosen = np.sort(order[:count])
        drawn, labels = dataset.validation_images[chosen], dataset.validation_labels[chosen]
        drawn, labels = spoil(drawn, labels, dataset, np.random.default_rng(0))
        samples = ImageSet(drawn, labels.astype(np.int64))
        found, _ = measure(samples, real, progress=False)
        values = [found.get(name) for name in SHOWN]
        cells = ["–" if value is None else f"{value:.4g}" for value in values]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    header = f"{' | '.join(SHOWN)} |\n" + "|---" * (1 + len(SHOWN)) + "|"
    print(f"| images | {header}")
    for count in counts:
        row(f"{count:,}", count, DEFECTS["none"])
    print(f"\n| defect | {header}")
    for name, spoil in DEFECTS.items():
        row(name, images, spoil)


if __name__ == "__main__":
    tyro.cli(main)
