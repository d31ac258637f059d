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
    run_dir: Annotated[str, tyro.conf.Positional],
    formats: tuple[FormatName, ...] = DEFAULT_FORMATS,
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> None:
    """Exports the newest checkpoint of a run: its EMA network with its card, checked against it.

    Args:
        run_dir: run directory of a training; or a folder that `import` wrote, a .safetensors or
            .onnx file that this wrote, a pretrained model, or hf://owner/name.
        formats: what to write.
        out: folder to write into; RUN_DIR/export if not given, or where the file is; needed for
            a model on the Hub.
        overwrite: replace the files of an earlier export.
        best: export the checkpoint of the lowest validation loss, not the newest.
    """
    start = time.perf_counter()
    with working("exporting, and checking the exported files", line=True):
        paths = export_run(run_dir, formats, out, overwrite, best)
    for name, path in paths.items():
        print(f"{name:12} {path}")
    print(f"Exported and compared with the live network in {time.perf_counter() - start:.1f} s.")
    first = shlex.quote(str(next(iter(paths.values()))))
    print(f"Sample from it: python -m kdiffusion sample {first}")
