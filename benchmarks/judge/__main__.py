"""Trains a judge of images on real ones: a classifier that reads what a sample shows.

    python -m benchmarks.judge cifar10 --out judge.onnx

`python -m kdiffusion evaluate ... --judge judge.onnx` takes it. Those of the digits and of CIFAR-10
come with the package.
"""

import time
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks.judge.fitting import train_judge
from benchmarks.judge.network import training_flops
from benchmarks.judge.writer import write_judge
from kdiffusion.data import load_dataset, name_and_directory
from kdiffusion.files import refuse_existing


def main(
    data: Annotated[str, tyro.conf.Positional],
    out: Path,
    directory: Path | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation_fraction: float = 0.1,
    horizontal_flip: bool | None = None,
    width: int = 64,
    images: int = 600_000,
    batch_size: int = 512,
    seed: int = 0,
    spoilt_share: float = 3 / 32,
    dtype_policy: Literal["auto", "float32", "mixed_bfloat16"] = "auto",
    overwrite: bool = False,
) -> None:
    """Trains a judge on real images and writes it as one ONNX file, with how well it reads.

    Args:
        data: digits, cifar10, any TFDS name with image and label, or a folder with a sub-folder of
            images for each class.
        out: ONNX file to write.
        directory: TFDS data directory; TFDS_DATA_DIR, or TFDS's own, if not given.
        image_size: side in pixels to which images are resized, or height and width; their own if
            not given.
        validation_fraction: share of the images held out where the data set has no test split.
        horizontal_flip: whether a mirror image shows the same class; None knows it of data sets,
            and says no of a folder.
        width: channels of the first level; the others have four times as many.
        images: seen in training, over all epochs.
        batch_size: images per step.
        seed: of the weights, the order and the augmentation; another makes another judge.
        spoilt_share: part of the images that are blurred, grained or compressed in training, so
            that the judge reads through that.
        dtype_policy: of the convolutions in training; auto is mixed_bfloat16 where the machine
            computes bfloat16, else float32. The file computes in float32.
        overwrite: replace an existing file.
    """
    refuse_existing(out, overwrite)
    start = time.perf_counter()
    name, place = name_and_directory(data, directory)
    dataset = load_dataset(
        name, directory=place, image_size=image_size, validation_fraction=validation_fraction
    )
    flip = dataset.horizontal_flip if horizontal_flip is None else horizontal_flip
    network = train_judge(
        dataset, width=width, images=images, batch_size=batch_size, seed=seed, flip=flip,
        spoilt_share=spoilt_share, dtype_policy=dtype_policy,
    )  # fmt: skip
    petaflops = training_flops(network, images) / 1e15
    how_made = (
        f"python -m benchmarks.judge {Path(data).name} --width {width} --images {images} "
        f"--batch-size {batch_size} --seed {seed} --validation-fraction {validation_fraction:g} "
        f"--image-size {' '.join(map(str, dataset.image_shape[:2]))} --horizontal-flip {flip} "
        f"--spoilt-share {spoilt_share:.4g} --dtype-policy {dtype_policy}; "
        f"{petaflops:.2g} PFLOP; read on {len(dataset.validation_images)} held-out images"
    )
    accuracy = write_judge(network, dataset, out, how_made, both_sides=flip, overwrite=overwrite)
    read = ", ".join(f"{100 * share:.1f} % ({kind})" for kind, share in accuracy.items())
    print(f"Trained in {(time.perf_counter() - start) / 60:.1f} minutes by {petaflops:.2g} PFLOP.")
    print(f"Of {len(dataset.validation_images)} held-out images it reads right: {read}")
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    tyro.cli(main)
