"""As `safetensors`, with the kernels in float16: half the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.artifacts.safetensors_loader import load as load

from .safetensors_writer import save

if TYPE_CHECKING:
    from kdiffusion.export.source import ExportSource

ARTIFACT = "denoiser_float16.safetensors"
TOLERANCE = 1e-2  # of any predicted number: what rounding every weight to 11 bits does


def write(source: ExportSource, path: Path) -> None:
    """Writes the weights of a network, the large ones in float16."""
    save(source, path, np.float16)
