"""What is exported, and where to: the network of a run or of a file of weights, in float32."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdiffusion.artifacts import safetensors_loader
from kdiffusion.artifacts.released import existing, is_url, released_models
from kdiffusion.atomic_files import refuse_existing
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.tables import check_name
from kdiffusion.terminal import import_tensorflow

if TYPE_CHECKING:
    import keras
    import onnx

    from kdiffusion.diffusion.denoiser import NetworkDenoiser


def default_folder(source: str | os.PathLike) -> Path:
    """Where the exported files of a source go by default: beside a file, else in `export`.

    Raises:
        ValueError: a source that is in no folder of the user's.
    """
    if is_url(source) or str(source) in released_models():
        raise ValueError(f"`out` must be given for {source}, which has no folder of its own")
    source = Path(source)
    return source.parent if source.is_file() else source / "export"


def free_paths(
    table: Mapping[str, Any], formats: Sequence[str], folder: Path, overwrite: bool
) -> dict[str, Path]:
    """Format ► path to write; refuses what is there, before the work."""
    paths = {name: folder / table[check_name("formats", name, table)].artifact for name in formats}
    for name, path in paths.items():
        refuse_existing(path, overwrite, table[name].mark)
    return paths


def read_source(source: str | os.PathLike, best: bool = False) -> tuple[keras.Model, DenoiserCard]:
    """Reads the network to export, with its card.

    Args:
        source: path of a run, of a .safetensors file, or of a folder that holds a
            denoiser.safetensors; the name of a pretrained model; or `hf://owner/name` on the Hub.
        best: bool. Of a run, the checkpoint of the lowest validation loss, not the newest.

    Raises:
        FileNotFoundError: nothing is there.
        ArtifactError: a damaged file.
        ValueError: a run without a checkpoint.
    """
    path = existing(source, weights=True)
    import_tensorflow()
    file = safetensors_loader.file_at(path)
    if file is not None:
        stored = safetensors_loader.read(file)
        return safetensors_loader.build(stored), stored.card
    from kdiffusion.runs.build import load_run

    run = load_run(path, best)
    return run.model.ema_network, run.card


class ExportSource:
    """A float32 network and its card, and the graphs that several formats are made of.

    Args:
        network: keras.Model on a dictionary of the contract's inputs, from `inference_network`.
        card: DenoiserCard.
    """

    def __init__(self, network: keras.Model, card: DenoiserCard):
        self.network = network
        self.card = card
        if not hasattr(network, "image_shape"):  # a graph of layers has no such attribute
            network.image_shape = card.image_shape

    @functools.cached_property
    def predict(self) -> Any:
        """The network's `prediction_function`: traced once, however many formats are made of it."""
        from kdiffusion.training.denoiser import prediction_function

        return prediction_function(self.network)

    @property
    def denoiser(self) -> NetworkDenoiser:
        """The Denoiser that every file must agree with."""
        from kdiffusion.training.denoiser import numpy_denoiser

        return numpy_denoiser(self.card, self.predict)

    @functools.cached_property
    def onnx_model(self) -> onnx.ModelProto:
        """onnx.ModelProto with the card, converted once as well."""
        from .onnx_writer import convert

        return convert(self.predict, self.card)


# Half precision in a layer's config: dtypes, and policies.
HALVES = {"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"}


def inference_network(network: keras.Model) -> keras.Model:
    """Rebuilds a network with the same weights, all in float32, self-attention folded.

    A network trained in mixed precision keeps float32 weights but casts to bfloat16 on the way;
    one trained under a `tf.distribute` strategy holds variables of that strategy. The copy does
    neither.

    Args:
        network: keras.Model with `image_shape`: `UNet`, a graph of layers, or a subclass with
            `call` and `get_config`.

    Returns:
        keras.Model of the same class.
    """
    import keras

    from kdiffusion.networks import layers_in
    from kdiffusion.networks.attention import SelfAttention2D
    from kdiffusion.training.conditions import rebuilt

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # of layers that a subclass makes without one
    try:
        copy = rebuilt(network, _in_float32(network.get_config()))
    finally:
        keras.config.set_dtype_policy(policy)
    for layer in layers_in(copy):
        if isinstance(layer, SelfAttention2D):
            layer.folded = True
    return copy


def _in_float32(config: Any) -> Any:
    """A config with float32 in place of half precision, at any depth."""
    if isinstance(config, dict):
        return {key: _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(map(_in_float32, config))
    return "float32" if isinstance(config, str) and config in HALVES else config
