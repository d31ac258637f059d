"""What every format is written from."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import onnx

    from kdiffusion.diffusion.card import DenoiserCard


class ExportSource:
    """A float32 network and its card, and the graph that several formats are made of.

    Args:
        network: keras.Model on a dictionary of the contract's inputs, from `inference_network`.
        card: DenoiserCard.
    """

    def __init__(self, network: keras.Model, card: DenoiserCard):
        self.network = network
        self.card = card

    @functools.cached_property
    def onnx_model(self) -> onnx.ModelProto:
        """onnx.ModelProto with the card: converted once, however many formats are made of it."""
        from .onnx_writer import convert

        return convert(self.network, self.card)
