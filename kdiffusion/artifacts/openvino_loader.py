"""Opens OpenVINO IR on the processor: denoiser.xml, which holds the card, and denoiser.bin."""

from __future__ import annotations

from pathlib import Path

from .denoiser import LoadedDenoiser, card_from_text
from .integrity import check_seal

ARTIFACT = "openvino"
GRAPH = "denoiser.xml"
PARTS = (GRAPH, "denoiser.bin")
CARD_KEY = ["kdiffusion", "card"]  # of the graph's runtime information
SEAL_KEY = ["kdiffusion", "seal"]


def recognises(path: Path) -> bool:
    """Whether `path` looks like OpenVINO IR: a folder with a denoiser.xml, or that file."""
    return _graph(path).name == GRAPH and _graph(path).is_file()


def _graph(path):
    return path / GRAPH if path.is_dir() else path


def load(path: Path, trust: bool = False) -> LoadedDenoiser:
    """Opens OpenVINO IR on the processor, in float32.

    Args:
        path: path of the folder, or of the denoiser.xml in it.

    Raises:
        ArtifactError: damaged files, or no usable card.
    """
    import openvino

    graph = _graph(Path(path))
    check_seal(graph.parent, PARTS)
    core = openvino.Core()
    model = core.read_model(graph)
    text = model.get_rt_info(CARD_KEY).astype(str) if model.has_rt_info(CARD_KEY) else None
    card = card_from_text(text, path)
    # Where there is bfloat16 arithmetic it would be used, and images would differ.
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def predict(noisy_images, timesteps, labels):
        inputs = {"noisy_image": noisy_images, "timestep": timesteps, "label": labels}
        return compiled(inputs)["prediction"]

    return LoadedDenoiser(card, Path(path), predict)
