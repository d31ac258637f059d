"""Opens OpenVINO IR on the processor: denoiser.xml, which holds the card, and denoiser.bin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kdiffusion.diffusion.denoiser import INPUT_NAMES, OUTPUT_NAME

from .denoiser import (
    ArtifactError,
    card_from_text,
    check_label_rows,
    check_names,
    check_shape,
    import_runtime,
    opened,
)
from .seal import check_seal

if TYPE_CHECKING:
    from kdiffusion.artifacts.denoiser import LoadedDenoiser

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


def load(path: Path) -> LoadedDenoiser:
    """Opens OpenVINO IR on the processor, in float32.

    Args:
        path: path of the folder, or of the denoiser.xml in it.

    Returns:
        LoadedDenoiser.

    Raises:
        ArtifactError: files that are damaged, have no usable card or other inputs, or OpenVINO is
            not installed.
    """
    path = Path(path)
    openvino = import_runtime("openvino", path, "openvino")
    check_seal(_graph(path).parent, PARTS)
    core = openvino.Core()
    try:
        model = core.read_model(_graph(path))
        # Where there is bfloat16 arithmetic it would be used, and images would differ.
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise ArtifactError(f"{path} cannot be read as whole OpenVINO IR: {error}") from error
    check_names("inputs", [value.any_name for value in compiled.inputs], INPUT_NAMES, path)
    check_names("outputs", [value.any_name for value in compiled.outputs], [OUTPUT_NAME], path)
    text = model.get_rt_info(CARD_KEY).astype(str) if model.has_rt_info(CARD_KEY) else None

    def predict(noisy_images, timesteps, labels):
        inputs = {"noisy_image": noisy_images, "timestep": timesteps, "label": labels}
        return compiled(inputs)[OUTPUT_NAME]

    card = card_from_text(text, path)
    shape = compiled.input(INPUT_NAMES[0]).partial_shape
    check_shape(card, [size.get_length() if size.is_static else None for size in shape], path)
    check_label_rows(card, _label_rows(model), path)
    return opened(card, path, predict)


def _label_rows(model):
    """The rows of the tables that labels choose from; a row that isn't there reads as zeros."""
    gathers = [node for node in model.get_ops() if node.get_type_name() == "Gather"]
    return {
        gather.input_value(0).get_partial_shape()[0].get_length()
        for gather in gathers
        if gather.input_value(0).get_node().get_type_name() == "Constant"
        and _takes_label(gather.input_value(1).get_node())
    }


def _takes_label(node):
    seen, waiting = set(), [node]
    while waiting:
        node = waiting.pop()
        if node.get_friendly_name() in seen:
            continue
        seen.add(node.get_friendly_name())
        if node.get_type_name() == "Parameter" and "label" in node.output(0).get_names():
            return True
        waiting += [value.get_node() for value in node.input_values()]
    return False
