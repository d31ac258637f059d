"""Opens ONNX files by ONNX Runtime alone: the session, and the card in the metadata."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .integrity import SELF_CHECK_KEY, ArtifactError, card_from_text, check_runtime, check_seal

if TYPE_CHECKING:
    import onnxruntime

    from .integrity import Opened


def open_session(
    graph: bytes | str | os.PathLike, threads: int | None = None
) -> onnxruntime.InferenceSession:
    """An `onnxruntime.InferenceSession` of a file, on the GPU where ONNX Runtime has one.

    Args:
        graph: path of the ONNX file, or its bytes.
        threads: int: that many of the processor, and no GPU. None leaves it to ONNX Runtime.

    Raises:
        ArtifactError: it cannot be read.
    """
    # Here and not above: the measures alone need no runtime.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; what matters is raised
    # Weights of 8 bits are decoded once, not at each evaluation.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
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
        raise ArtifactError(f"{what} cannot be read as a whole ONNX file: {error}") from error


ARTIFACT = "denoiser.onnx"
CARD_KEY = "kdiffusion.card"
SEAL_KEY = "kdiffusion.seal"


def recognises(path: Path) -> bool:
    """Whether `path` looks like an ONNX file: its name ends in .onnx."""
    return path.is_file() and path.suffix == ".onnx"


def load(path: Path, trust: bool = False) -> Opened:
    """Opens an ONNX file by ONNX Runtime alone.

    Raises:
        ArtifactError: a damaged file, no usable card, or a runtime that predicts other numbers
            than the file says.
    """
    import onnxruntime

    check_seal(path)
    session = open_session(path)
    metadata = session.get_modelmeta().custom_metadata_map
    card = card_from_text(metadata.get(CARD_KEY), path)
    quiet = onnxruntime.RunOptions()
    quiet.log_severity_level = 4  # an error is raised; it isn't printed as well

    def run(**arrays):
        return session.run(None, arrays, quiet)[0]

    check_runtime(metadata.get(SELF_CHECK_KEY), run, card, path)
    return run, card
