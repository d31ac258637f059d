"""`python -m kdiffusion train_judge DATA --out FILE`: trains a judge of images on real ones.

A judge reads what a drawn image shows. That of `cifar10` comes with the package; any other data set
can have its own.
"""

import time
from pathlib import Path
from typing import Annotated, Literal

import tyro

from kdiffusion.files import refuse_existing
from kdiffusion.tensorflow_start import import_tensorflow

from .mirroring import HORIZONTAL_FLIP, Mirroring


def main(
    data: Annotated[str, tyro.conf.Positional],
    out: Path,
    directory: Path | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation_fraction: float = 0.1,
    horizontal_flip: Mirroring = "auto",
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
        horizontal_flip: whether a mirror image shows the same class; auto knows it of data sets,
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
    if out.suffix != ".onnx":
        raise ValueError(f"`out` must end in .onnx. Received: out={str(out)!r}")
    refuse_existing(out, overwrite)
    start = time.perf_counter()
    from kdiffusion.data import load_dataset, name_and_directory

    name, place = name_and_directory(data, directory)
    dataset = load_dataset(
        name,
        directory=place,
        image_size=image_size,
        validation_fraction=validation_fraction,
    )
    if dataset.num_classes < 2:
        raise ValueError(
            "`data` must have two classes at least, for a judge to tell apart. "
            f"Received: {data}, {dataset.num_classes}"
        )
    flip = HORIZONTAL_FLIP[horizontal_flip]
    flip = dataset.horizontal_flip if flip is None else flip
    import_tensorflow()  # not before: now the data are known to be good
    from kdiffusion.evaluation.judge_training.fitting import train_judge
    from kdiffusion.evaluation.judge_training.network import training_flops
    from kdiffusion.export.judge_writer import write_judge

    network = train_judge(
        dataset, width=width, images=images, batch_size=batch_size, seed=seed, flip=flip,
        spoilt_share=spoilt_share, dtype_policy=dtype_policy,
    )  # fmt: skip
    petaflops = training_flops(network, images) / 1e15
    how_made = (
        f"python -m kdiffusion train_judge {Path(data).name} --width {width} --images {images} "
        f"--batch-size {batch_size} --seed {seed} --validation-fraction {validation_fraction:g} "
        f"--image-size {' '.join(map(str, dataset.image_shape[:2]))} "
        f"--horizontal-flip {'yes' if flip else 'no'} "
        f"--spoilt-share {spoilt_share:.4g} --dtype-policy {dtype_policy}; "
        f"{petaflops:.2g} PFLOP; read on {len(dataset.validation_images)} held-out images"
    )
    card = write_judge(network, dataset, out, how_made, both_sides=flip, overwrite=overwrite)
    read = ", ".join(f"{100 * share:.1f} % ({kind})" for kind, share in card.accuracy.items())
    print(f"Trained in {(time.perf_counter() - start) / 60:.1f} minutes by {petaflops:.2g} PFLOP.")
    print(f"Of {len(dataset.validation_images)} held-out images it reads right: {read}")
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB")
