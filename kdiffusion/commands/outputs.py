"""What commands write: grids, and files that appear whole, and replace none unless asked to."""

import contextlib
import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from PIL import Image

from kdiffusion.atomic_files import refuse_existing, staged
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.sampling_plan import check_seeds
from kdiffusion.images import image_grid, to_uint8
from kdiffusion.terminal import counted

from .inputs import NO_CLASS, from_to, labels_from_text

# Suffix of an image file: how Pillow writes it.
IMAGES: dict[str, dict[str, Any]] = {
    ".png": {},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"lossless": True},
}
FILM = ".gif"
FRAME_MILLISECONDS = 80
MOST_FRAMES = 50  # evenly spread over the steps
LAST_FRAME_REPEATS = 20  # the finished images stay to be looked at
NUMBERED = "(default: {}, with a number if that exists)".format


def choose_output(wanted: Path | str, suffixes: Collection[str], overwrite: bool) -> Path:
    """The file to write.

    Args:
        wanted: Path that the user named, which must be free unless `overwrite`; or str, the default
            name: `samples.png` becomes `samples_2.png` where that is there.
        suffixes: strings. What a named file may end in.
        overwrite: bool. Whether an existing file may be replaced.
    """
    if isinstance(wanted, str):
        path, number = Path(wanted), itertools.count(2)
        while path.exists() and not overwrite:
            path = path.with_name(f"{Path(wanted).stem}_{next(number)}{path.suffix}")
        return path
    refuse_existing(wanted, overwrite)
    if wanted.suffix.lower() not in suffixes:  # else the work would be lost at its end
        raise ValueError(f"The file name must end in {', '.join(suffixes)}. Received: {wanted}")
    return wanted


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


def grid_by_class(
    images: np.ndarray,
    labels: Sequence[int],
    class_names: Sequence[str],
    scale: int | None = None,
    beside: Sequence[np.ndarray] = (),
) -> Image.Image:
    """A grid of one row per label.

    Args:
        images: uint8 `[N, H, W, C]`, those of one label after another.
        labels: ints `[L]`, L a divisor of N.
        class_names: strings.
        scale: int or None, as for `image_grid`.
        beside: uint8 images `[H, W, C]`, which stand first in every row, before a gap.
    """
    rows = images.reshape(len(labels), -1, *images.shape[1:])
    if beside:
        first = [*beside, np.full_like(images[0], 255)]
        rows = np.concatenate([[first] * len(labels), rows], axis=1)
    cells = rows.reshape(-1, *images.shape[1:])
    names = [(*class_names, NO_CLASS)[label] for label in labels]
    return image_grid(cells, rows.shape[1], names, scale)


@dataclass(frozen=True)
class ImageOutput:
    """Files to write.

    Args:
        out: PNG, JPEG or WebP file; of `sample` also GIF.
        scale: upscaling factor; by default, images in a grid become at least 48 pixels wide, and a
            single one keeps its size.
        overwrite: replace existing files.
        npz: NPZ file for the array `images` (uint8 [N, H, W, C]), and `labels` and `seeds` if each
            image has its own.
    """

    # A str is the command's default name, a Path one that the user typed.
    out: Annotated[Path | str, tyro.conf.arg(metavar="PATH", help_behavior_hint=NUMBERED)]
    scale: Annotated[int | None, from_to(1, 64)] = None  # a larger grid would fill the memory
    overwrite: bool = False
    npz: Path | None = None

    @property
    def is_film(self) -> bool:
        """Whether what the images look like on the way is wanted, too."""
        return Path(self.out).suffix.lower() == FILM

    def choose(self, also: Collection[str] = ()) -> Path:
        """The image file to write; any file that is there is an error unless `overwrite`."""
        if self.npz is not None:
            choose_output(self.npz, [".npz"], self.overwrite)
        return choose_output(self.out, [*IMAGES, *also], self.overwrite)

    def write_by_class(
        self,
        sample: Callable[[np.ndarray, np.ndarray], np.ndarray],
        card: DenoiserCard,
        labels: Sequence[str] | None,
        per_label: int,
        seed: int,
        how: str = "",
        beside: Sequence[np.ndarray] = (),
        frames: Mapping[int, Sequence[np.ndarray]] | None = None,
    ) -> None:
        """Samples images of each class, writes them as one image file, and says so.

        Args:
            sample: function of labels `[N]` and seeds `[N]`, which returns images in the model's
                range.
            card: DenoiserCard.
            labels: strings, as for `labels_from_text`.
            per_label: int. Images of each class.
            seed: int. Of the first image.
            how: str. How they were sampled, to be said.
            beside: as for `grid_by_class`.
            frames: dict from step to its uint8 images `[N, H, W, C]`, batch by batch, which
                `sample` fills where a film is wanted; None: there is none.
        """
        numbers = labels_from_text(labels, card.class_names)
        path = self.choose([] if frames is None else [FILM])
        label_of_image = np.repeat(np.asarray(numbers, np.int32), per_label)
        seeds = np.array(check_seeds(range(seed, seed + len(label_of_image))), np.uint64)
        start = time.perf_counter()
        images = to_uint8(sample(label_of_image, seeds))
        seconds = time.perf_counter() - start
        if len(images) == 1 and not beside and not self.is_film:  # one alone is written plain
            grid: Any = image_grid(images, 1, scale=self.scale or 1, padding=0)
        else:
            grid = grid_by_class(images, numbers, card.class_names, self.scale, beside)
        if self.is_film and frames is not None:
            every = np.linspace(0, len(frames) - 1, min(MOST_FRAMES, len(frames))).round() - 1
            whole = [np.concatenate(frames[int(step)]) for step in every]
            grids = [grid_by_class(each, numbers, card.class_names, self.scale) for each in whole]
            grid = [*grids, *[grid] * LAST_FRAME_REPEATS]
        arrays = {"images": images, "labels": label_of_image, "seeds": seeds}
        written = write_outputs({path: grid, self.npz: arrays}, self.overwrite)
        done = counted(len(images), "image") + (how and f" ({how})")
        print(f"{done} in {seconds:.1f} s: {written}")
