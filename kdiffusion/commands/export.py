"""`python -m kdiffusion export RUN_DIR`: exports the averaged network of a run."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from kdiffusion.export.formats import DEFAULT_FORMATS, FORMATS, export_run
from kdiffusion.terminal import working

if TYPE_CHECKING:  # A type checker can't know the tables' names.
    FormatName = str
else:
    FormatName = tyro.extras.literal_type_from_choices(list(FORMATS))


def main(
    run_dir: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")],
    formats: tuple[FormatName, ...] = DEFAULT_FORMATS,
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> None:
    """Exports the averaged network (EMA) of a run's newest checkpoint.

    Each file is compared with the network, and kept only if it agrees.

    Args:
        run_dir: a run's folder, an imported folder, a .safetensors or .onnx file that `export`
            wrote, a pretrained model's name, or hf://owner/name.
        formats: file formats to write.
        out: folder to write into; by default RUN/export, or the folder of the file. Required for
            a model on the Hub.
        overwrite: replace the files of an earlier export.
        best: export the checkpoint with the lowest validation loss, not the newest.
    """
    start = time.perf_counter()
    with working("exporting, and checking the exported files", line=True):
        paths = export_run(run_dir, formats, out, overwrite, best)
    for name, path in paths.items():
        print(f"{name:12} {path}")
    print(f"Exported and compared with the network in {time.perf_counter() - start:.1f} s.")
    first = shlex.quote(str(next(iter(paths.values()))))
    print(f"Sample from it: python -m kdiffusion sample {first}")
