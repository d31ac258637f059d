"""ONNX Runtime: the one way that a session is opened, and a network run batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

if TYPE_CHECKING:
    import onnxruntime

BATCH_SIZE = 250  # images at a time


def open_session(
    graph: bytes | str | os.PathLike,
    error_class: type[Exception] = ValueError,
    threads: int | None = None,
) -> onnxruntime.InferenceSession:
    """An `onnxruntime.InferenceSession` of a file, on the GPU where ONNX Runtime has one.

    Args:
        graph: path of the ONNX file, or its bytes.
        error_class: what to raise when it cannot be read; a ValueError.
        threads: int: that many of the processor, and no GPU. None leaves it to ONNX Runtime.
    """
    # Here and not above: the measures alone need no runtime.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; what matters is raised
    providers = ["CPUExecutionProvider"]
    if threads is not None:
        options.intra_op_num_threads = threads
    elif "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # TensorFloat-32 would move images by more than a level from those of other runtimes.
        providers = [("CUDAExecutionProvider", {"use_tf32": 0}), *providers]
    try:
        return onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # ONNX Runtime's errors share no base class
        what = "The graph" if isinstance(graph, bytes) else graph
        raise error_class(f"{what} cannot be read as a whole ONNX file: {error}") from error


def run_in_batches(
    run: Callable[[np.ndarray], Sequence[np.ndarray]],
    images: np.ndarray,
    description: str,
    progress: bool = False,
    batch_size: int | None = None,
) -> list[np.ndarray]:
    """The outputs of `run` on images, batch by batch, each in one array.

    Args:
        run: function of images `[B, H, W, C]` that returns a list of arrays `[B, ...]`.
        images: array `[N, H, W, C]`; sliced, so that it may lie on disk.
        description: str. What the bar says.
        progress: bool. Whether to show a bar.
        batch_size: int, or None for `BATCH_SIZE`.

    Returns:
        list of float32 arrays `[N, ...]`.
    """
    batch_size = batch_size or BATCH_SIZE
    firsts = range(0, len(images), batch_size)
    pieces = [
        run(images[first : first + batch_size])
        for first in tqdm(firsts, desc=description, unit="batch", disable=not progress)
    ]
    return [
        np.concatenate(parts).astype(np.float32, copy=False) for parts in zip(*pieces, strict=True)
    ]
