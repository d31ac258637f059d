"""As `safetensors`, with the kernels in float16: half the file."""

import numpy as np

from kdiffusion.artifacts.safetensors_loader import load as load

from .safetensors_writer import save

ARTIFACT = "denoiser_float16.safetensors"
PARTS = ()  # one file
ours = None
TOLERANCE = 1e-2  # of any predicted number: what rounding every weight to 11 bits does


def write(source, path):
    """Writes the weights of a network, the large ones in float16.

    Args:
        source: ExportSource.
        path: Path. The file to make.
    """
    save(source, path, np.float16)
