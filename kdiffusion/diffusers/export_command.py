"""`python -m kdiffusion export_diffusers RUN_DIR`: a folder that diffusers reads."""

from pathlib import Path
from typing import Annotated

import tyro

from kdiffusion.export.read_source import default_folder, read_source
from kdiffusion.terminal import working

from .writer import export_diffusers, free_path


def main(
    run_dir: Annotated[str, tyro.conf.Positional],
    out: Path | None = None,
    overwrite: bool = False,
    best: bool = False,
) -> None:
    """Exports a network as a folder that diffusers opens: UNet2DModel, scheduler and pipeline.

    The network must be a unet2d: one that `import` read, or that was trained as
    `--model.network unet2d`.

    Args:
        run_dir: run directory of a training; or a folder that `import` wrote, a .safetensors or
            .onnx file that `export` wrote, or hf://owner/name.
        out: folder to write the folder diffusers into; RUN_DIR/export if not given; needed for a
            model on the Hub.
        overwrite: replace the folder of an earlier export.
        best: of a run, export the checkpoint of the lowest validation loss, not the newest.
    """
    folder = Path(default_folder(run_dir)) if out is None else out
    free_path(folder, overwrite)  # refuse before the seconds that loading takes
    with working("exporting, and checking the exported folder", line=True):
        path = export_diffusers(*read_source(run_dir, best), folder, overwrite)
    print(path)
