"""`python -m kdiffusion sample ARTIFACT`: draws images by class from an exported file.

It imports neither TensorFlow nor Keras, unless the file is a SavedModel.
"""

import dataclasses
import importlib
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from kdiffusion.artifacts import load_denoiser
from kdiffusion.checks import check_whole
from kdiffusion.diffusion.plan import make_plan
from kdiffusion.evaluation.written_sets import WRITTEN_SETS
from kdiffusion.images import grid_size, image_grid
from kdiffusion.terminal import counted

from .drawn_files import draw_to_folder, image_bar
from .grids import check_scale, draw_by_class
from .labels import label_names, labels_from_text
from .outputs import refuse_names, refuse_outputs, refuse_size, write_outputs
from .processes import run_in_processes
from .sampling_flags import AS_RECOMMENDED, Artifact, Labels, Sampling, SamplingFlags
from .shards import (
    IMAGES_PER_FILE,
    file_name,
    files_of_shard,
    part_of_shard,
    seeds_from_text,
    shard_from_text,
)
from .whole_set import missing_files, named, write_whole_set

PER_LABEL = 8


def main(
    artifact: Artifact,
    labels: Labels = ("all",),
    per_label: int | None = None,
    seed: int | None = None,
    seeds: str | None = None,
    shard: str = "1/1",
    claim: bool = False,
    processes: int = 1,
    images_per_file: int | None = None,
    sampling: Sampling = AS_RECOMMENDED,
    scale: int | None = None,
    out: Path | None = None,
    npz: Path | None = None,
    png_folder: Path | None = None,
    arr_0: Path | None = None,
    webdataset: Path | None = None,
    parquet: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Draws one image, a grid, one row per class, or a folder of many, from an exported file.

    With --seeds, images stream into files of a folder. Stopped and started again, it goes on; with
    --shard, several machines share the job.

    Args:
        artifact: an exported file or folder, such as denoiser.onnx; or a released model.
        labels: `all`, `none` (of no class), class names or label numbers.
        per_label: images of each in the grid; 8 if not given.
        seed: of the first image of the grid, 0 if not given; the next have seed + 1, seed + 2, ...
        seeds: FIRST:END, such as 0:50000: many images, one for each of these seeds, in files. The
            labels take turns: seed s has the label number s modulo the number of labels.
        shard: K/N: only the K-th of N parts of those seeds, such as 2/8. `auto`: K and N from an
            array job of Slurm, AWS Batch, Cloud Run or Kubernetes.
        claim: go on, after that part, with what no living worker has claimed, until all seeds are
            drawn. Workers that share --out so take over the work of a lost one.
        processes: share the part among so many; where there are GPUs, each has one of its own.
        images_per_file: how many of those seeds one file holds, 1000 if not given.
        scale: pixels that a pixel is wide in the grid; if not given, enough for images to be at
            least 48 wide. One image alone is written plain, a pixel a pixel if not given.
        out: PNG, JPEG or WebP to write, by its name, samples.png if not given; with --seeds a
            folder, samples if not given.
        npz: file for the arrays `images` (uint8 [N, H, W, C]), `labels` and `seeds` of the grid, if
            wanted.
        png_folder: with --seeds, a folder for all of those seeds' images as PNG files, if wanted,
            once all are drawn.
        arr_0: with --seeds, an NPZ file for them as `arr_0`, and their labels as `arr_1`, if
            wanted: what guided-diffusion's evaluator reads.
        webdataset: with --seeds, a folder for them as tar files of WebDataset, if wanted.
        parquet: with --seeds, a Parquet file for them, if wanted; needs pyarrow.
        overwrite: replace existing files.
    """
    sets = {"png_folder": png_folder, "arr_0": arr_0, "webdataset": webdataset, "parquet": parquet}
    sets = {name: path for name, path in sets.items() if path is not None}
    if seeds is None:
        many = {
            "shard": shard != "1/1", "claim": claim, "processes": processes != 1,
            "images_per_file": images_per_file is not None, **sets,
        }  # fmt: skip
        for name in (name for name, is_given in many.items() if is_given):
            raise ValueError(f"`{name}` is for many images: pass `--seeds FIRST:END` too")
        per_label = PER_LABEL if per_label is None else per_label
        out = out or Path("samples.png")
        _draw_grid(artifact, labels, per_label, seed or 0, sampling, scale, out, npz, overwrite)
        return
    if (per_label, seed, scale, npz) != (None, None, None, None):
        raise ValueError(
            "`per_label`, `seed`, `scale` and `npz` are for a grid, and `seeds` is given"
        )
    marks = {path: WRITTEN_SETS[name].mark for name, path in sets.items()}
    refuse_outputs(*sets.values(), overwrite=overwrite, marks=marks)
    out = out or Path("samples")
    for name, path in sets.items():
        if path.resolve() in (out.resolve(), *out.resolve().parents):
            raise ValueError(
                f"`{name}` must be another place than `out`, and not hold it. "
                f"Received: {name}={path}, out={out}"
            )
    for name in sets:
        importlib.import_module(WRITTEN_SETS[name].needs or "numpy")  # before the work, not after
    images_per_file = IMAGES_PER_FILE if images_per_file is None else images_per_file
    work = _Part(
        artifact, labels, seeds_from_text(seeds), out, images_per_file,
        shard_from_text(shard), claim, overwrite, sampling,
    )  # fmt: skip
    check_whole("processes", processes)
    start = time.perf_counter()
    drawn, skipped = work() if processes == 1 else _draw_in_processes(work, processes)
    seconds = time.perf_counter() - start
    print(f"{counted(drawn, 'image')} in {seconds:.1f} s, {skipped} were there already: {work.out}")
    for name, path in sets.items():
        kind = WRITTEN_SETS[name]
        write_whole_set(work.out, work.seeds, images_per_file, path, kind, overwrite)
        print(f"All {len(work.seeds)} images: {path}")


@dataclasses.dataclass(frozen=True)
class _Part:
    """What one process draws of many images; it goes to another process by pickle."""

    artifact: str
    labels: tuple[str, ...]
    seeds: range
    out: Path
    images_per_file: int
    shard: tuple[int, int]
    claim: bool
    overwrite: bool
    sampling: SamplingFlags
    progress: bool = True

    def __call__(self):
        denoiser, numbers = self._opened()
        return draw_to_folder(
            denoiser, numbers, self.seeds, self.out, images_per_file=self.images_per_file,
            shard=self.shard, claim=self.claim, overwrite=self.overwrite, progress=self.progress,
            **self.sampling.given(),
        )  # fmt: skip

    def check(self, number):
        """Refuses what can't be drawn or written; `number` is that of the process."""
        denoiser, _ = self._opened()
        make_plan(denoiser, self.sampling.options())
        check_whole("batch_size", self.sampling.batch_size)

    def _opened(self):
        denoiser = load_denoiser(self.artifact)
        return denoiser, labels_from_text(self.labels, denoiser.card.class_names)

    def files(self):
        """All that is there when it is done, as ranges of seeds."""
        shard = (1, 1) if self.claim else self.shard
        return files_of_shard(self.seeds, self.images_per_file, shard)


@dataclasses.dataclass(frozen=True)
class _PartOfPart:
    """What each of several processes does."""

    whole: _Part
    count: int

    def __call__(self, number):
        shard = part_of_shard(self.whole.shard, number, self.count)
        dataclasses.replace(self.whole, shard=shard, progress=False)()


def _draw_in_processes(part, count):
    """Like `part()`; raises ValueError where processes were lost and files are missing."""
    # A process of its own says a mistake once, and leaves no model on a GPU.
    (status,) = run_in_processes(part.check, 1, watch=lambda: None)
    if status > 0:
        sys.exit(status)
    files = {file_name(file): len(file) for file in part.files()}
    total = sum(files.values())

    def times():
        return {path.name: path.stat().st_mtime_ns for path in part.out.glob("images_*.npz")}

    earlier = times() if part.overwrite else {}

    def there():
        if part.overwrite:
            now = times()
            return sum(size for name, size in files.items() if now.get(name) != earlier.get(name))
        return total - sum(files[name] for name in missing_files(part.out, part.files()))

    skipped = there()
    with image_bar(total, skipped, progress=True) as bar:
        statuses = run_in_processes(
            _PartOfPart(part, count), count, watch=lambda: bar.update(there() - bar.n)
        )
    lost = [f"{i} (status {status})" for i, status in enumerate(statuses) if status]
    missing = missing_files(part.out, part.files())
    if any(status > 0 for status in statuses):  # it refused what it found, and said so
        raise ValueError(
            f"Of {count} processes, {len(lost)} did not end well: {', '.join(lost)}. What they say "
            "is above"
        )
    if lost and part.overwrite:
        raise ValueError(
            f"Of {count} processes, {len(lost)} did not end well: {', '.join(lost)}. Some files of "
            f"{part.out} may be those that were there. Give the same command again"
        )
    if lost and missing:
        raise ValueError(
            f"Of {count} processes, {len(lost)} did not end well: {', '.join(lost)}. {part.out} "
            f"lacks {len(missing)} of {len(files)} files: {named(missing)}. Give the same command "
            "again: it goes on"
        )
    if lost:
        warnings.warn(
            f"Of {count} processes, {len(lost)} did not end well: {', '.join(lost)}. The others "
            "drew all",
            stacklevel=2,
        )
    return total - skipped, skipped


def _draw_grid(artifact, labels, per_label, seed, sampling, scale, out, npz, overwrite):
    check_scale(scale)
    refuse_outputs(out, npz, overwrite=overwrite)
    refuse_names(images=[out])
    denoiser = load_denoiser(artifact)
    class_names = denoiser.card.class_names
    numbers = labels_from_text(labels, class_names)
    if len(numbers) == per_label == 1:  # one image alone is written plain
        layout: dict[str, Any] = {"scale": scale or 1, "padding": 0}
    else:
        layout = {"scale": scale, "row_labels": label_names(numbers, class_names)}
    refuse_size(out, grid_size(denoiser.card.image_shape, per_label, len(numbers), **layout))
    start = time.perf_counter()
    images, label_of_image, seeds = draw_by_class(
        denoiser, numbers, per_label, seed, **sampling.given()
    )
    seconds = time.perf_counter() - start
    grid = image_grid(images, per_label, **layout)
    arrays = {"images": images, "labels": label_of_image, "seeds": seeds}
    written = write_outputs({out: grid, npz: arrays}, overwrite)
    print(f"{counted(len(images), 'image')} in {seconds:.1f} s: {written}")
