"""OpenVINO IR, for Intel processors and graphics: a folder with the graph, which holds the card, as
denoiser.xml and the weights as denoiser.bin.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.artifacts.integrity import UNSEALED
from kdiffusion.artifacts.openvino_loader import ARTIFACT, CARD_KEY, GRAPH, PARTS, SEAL_KEY, load

if TYPE_CHECKING:
    from kdiffusion.export.export_source import ExportSource

__all__ = ["ARTIFACT", "MARK", "PARTS", "TOLERANCE", "load", "write"]

TOLERANCE = 1e-4  # from the live network, any predicted number
MARK = GRAPH


def write(source: ExportSource, path: Path) -> None:
    """Converts the ONNX graph and writes it, with float32 weights and the card."""
    import openvino

    graph = type(source.onnx_model)()
    graph.CopyFrom(source.onnx_model)
    graph.ClearField("metadata_props")  # OpenVINO would keep it beside its own
    model = openvino.Core().read_model(graph.SerializeToString())
    model.set_rt_info(source.card.to_json(), CARD_KEY)
    model.set_rt_info(UNSEALED, SEAL_KEY)
    path.mkdir()
    openvino.save_model(model, path / GRAPH, compress_to_fp16=False)
