"""Copies an exported file with another card: all else in it stays as it is."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

from kdiffusion.diffusion.card import DenoiserCard

from . import onnx_loader, safetensors_loader
from .denoiser import ArtifactError
from .integrity import UNSEALED, seal


def check_can_copy(source: Path) -> None:
    """Refuses a file whose card can't be replaced, before the work and not after.

    Raises:
        ArtifactError: neither an ONNX file nor one of safetensors.
        ModuleNotFoundError: the library that writes it isn't installed.
    """
    library, _ = _writer_for(source)
    importlib.import_module(library)


def copy_with_card(source: Path, card: DenoiserCard, path: Path) -> None:
    """Writes a copy of an exported file whose card is another, and seals it.

    Args:
        source: Path of an ONNX file or one of safetensors.
        card: DenoiserCard.
        path: Path. The file to make.
    """
    _, write = _writer_for(source)
    write(source, card, path)
    seal(path, ())


def _writer_for(source) -> tuple[str, Callable[[Path, DenoiserCard, Path], None]]:
    """What a file's format is written by: the name of a library, and a function."""
    if onnx_loader.recognises(source):
        return "onnx", _onnx
    if safetensors_loader.recognises(source):
        return "safetensors", _safetensors
    raise ArtifactError(
        f"{source} must be an ONNX file or one of safetensors: the card of other formats can't be "
        "replaced. Fit to one of these, and export it to the others"
    )


def _onnx(source, card, path):
    import onnx

    model = onnx.load(source)
    replaced = {onnx_loader.CARD_KEY: card.to_json(), onnx_loader.SEAL_KEY: UNSEALED}
    for entry in model.metadata_props:
        entry.value = replaced.get(entry.key, entry.value)
    onnx.save(model, path)


def _safetensors(source, card, path):
    import safetensors
    from safetensors.numpy import save

    with safetensors.safe_open(source, framework="numpy") as file:
        facts = json.loads(file.metadata()[safetensors_loader.METADATA_KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    facts |= {safetensors_loader.CARD: card.to_json(), safetensors_loader.SEAL: UNSEALED}
    path.write_bytes(save(tensors, {safetensors_loader.METADATA_KEY: json.dumps(facts)}))
