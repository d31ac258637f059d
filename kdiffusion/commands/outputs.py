"""What commands write: grids, and files that appear whole, and replace none unless asked to."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kdiffusion.diffusion.sampling import sample
from kdiffusion.files import refuse_existing, staged
from kdiffusion.images import image_grid, to_uint8

from .inputs import label_names

if TYPE_CHECKING:
    from PIL import Image

    from kdiffusion.diffusion.denoiser import Denoiser

# Suffix of an image file: how Pillow writes it.
IMAGES: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}
FRAME_MILLISECONDS = 80  # of a GIF


def choose_output(named: Path | None, default: str, overwrite: bool, *others: Path | None) -> Path:
    """The file to write.

    Args:
        named: path that the user named, which must be free unless `overwrite`; or None.
        default: str. The name where the user named none; `samples.png` becomes `samples_2.png`
            where that is there.
        overwrite: bool. Whether an existing file may be replaced.
        *others: more files to write, as for `refuse_outputs`.
    """
    refuse_outputs(*others, overwrite=overwrite)
    if named is not None:
        refuse_existing(named, overwrite)
        suffixes = IMAGES if Path(default).suffix in IMAGES else (Path(default).suffix,)
        if named.suffix.lower() not in suffixes:  # else the work would be lost at its end
            raise ValueError(f"The file name must end in {', '.join(suffixes)}. Received: {named}")
        return named
    path, number = Path(default), 2
    while path.exists() and not overwrite:
        path = Path(default).with_stem(f"{Path(default).stem}_{number}")
        number += 1
    return path


def refuse_outputs(*paths: Path | None, overwrite: bool) -> None:
    """Raises FileExistsError when one of the files is there: before the work, not after.

    Args:
        *paths: paths, or None for a file that isn't wanted.
        overwrite: bool. Whether files may be replaced.
    """
    for path in paths:
        if path is not None:
            refuse_existing(path, overwrite)


def write_outputs(contents: Mapping[Path | None, Any], overwrite: bool) -> str:
    """Writes files by what they hold; when one can't be written, none appears.

    Args:
        contents: dict from path (None: not wanted) to a PIL image (of a suffix in `IMAGES`), a list
            of PIL images (an endless GIF), a dict of arrays (NPZ) or a text.
        overwrite: bool. Whether files may be replaced.

    Returns:
        str: the names of the files, for a last line on the screen.
    """
    with contextlib.ExitStack() as stack:
        for path, content in contents.items():
            if path is None:
                continue
            temporary = stack.enter_context(staged(path, overwrite))
            if isinstance(content, dict):
                with open(temporary, "wb") as file:  # given a name, NumPy would append ".npz"
                    np.savez_compressed(file, **content)
            elif isinstance(content, list):
                first, *frames = content
                options = {"duration": FRAME_MILLISECONDS, "loop": 0}
                first.save(temporary, "GIF", save_all=True, append_images=frames, **options)
            elif isinstance(content, str):
                temporary.write_text(content, encoding="utf-8")
            else:
                content.save(temporary, **IMAGES[path.suffix.lower()])
    return ", ".join(str(path) for path in contents if path is not None)


def draw_by_class(
    denoiser: Denoiser, labels: Sequence[int], per_label: int, seed: int, **options: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples `per_label` images of each label; image i is that of seed `seed + i`.

    Args:
        denoiser: a Denoiser.
        labels: ints `[L]`.
        per_label: int.
        seed: int. Of the first image.
        **options: those of `kdiffusion.sample`.

    Returns:
        (uint8 `[N, H, W, C]`, int32 `[N]` labels, uint64 `[N]` seeds), N = L * per_label, the
        images of one label after another.
    """
    label_of_image, seeds = one_label_after_another(labels, per_label, seed)
    images = sample(denoiser, label_of_image, seeds, **options)
    return to_uint8(images), label_of_image, seeds


def one_label_after_another(
    labels: Sequence[int], per_label: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The label, int32 `[N]`, and the seed, uint64 `[N]`, of each image of a grid by label."""
    label_of_image = np.repeat(np.asarray(labels, np.int32), per_label)
    return label_of_image, np.array(range(seed, seed + len(label_of_image)), np.uint64)


def grid_beside(
    given: Sequence[np.ndarray],
    images: np.ndarray,
    labels: Sequence[int],
    class_names: Sequence[str],
    scale: int | None = None,
) -> Image.Image:
    """A grid of one row per label: the images that were given, then those that were sampled.

    Args:
        given: sequence of uint8 `[H, W, C]`, which stand first in every row, before a gap.
        images: uint8 `[N, H, W, C]`, those of one label after another.
        labels: ints `[L]`, L a divisor of N.
        class_names: strings.
        scale: int or None, as for `image_grid`.
    """
    rows = images.reshape(len(labels), -1, *images.shape[1:])
    given = [*given, np.full_like(images[0], 255)]
    before = np.broadcast_to(given, (len(labels), *np.shape(given)))
    cells = np.concatenate([before, rows], axis=1)  # [L, columns, H, W, C]
    return image_grid(
        cells.reshape(-1, *images.shape[1:]),
        cells.shape[1],
        row_labels=label_names(labels, class_names),
        scale=scale,
    )
