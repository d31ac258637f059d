"""Weights by name in one file of safetensors: to start another run from, or for other libraries."""

import json
from pathlib import Path

import numpy as np

from kdiffusion.artifacts import safetensors_loader as loader
from kdiffusion.artifacts.integrity import UNSEALED
from kdiffusion.networks import describe, named_weights

from .source import ExportSource


def write(source: ExportSource, path: Path, dtype: type = np.float32) -> None:
    """Writes the weights of a network, with its card and the arguments of its class.

    Args:
        source: ExportSource.
        path: Path. The file to make.
        dtype: NumPy dtype of kernels and tables; weights of one dimension stay float32. Defaults
            to `np.float32`.
    """
    from safetensors.numpy import save as to_bytes

    network_class, arguments = describe(source.network)
    tensors = {}
    for name, variable in named_weights(source.network).items():
        value = np.ascontiguousarray(variable, np.float32)
        tensors[name] = value.astype(dtype) if value.ndim > 1 else value
    facts = {
        loader.CARD_ENTRY: source.card.to_json(), loader.NETWORK_CLASS: network_class,
        loader.NETWORK: arguments, loader.SEAL: UNSEALED,
    }  # fmt: skip
    # Its `save_file` makes files that their owner alone may read.
    path.write_bytes(to_bytes(tensors, {loader.METADATA_KEY: json.dumps(facts)}))
