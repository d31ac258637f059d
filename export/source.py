"""What every format is written from."""

import functools


class ExportSource:
    """A float32 network and its card, and the graph that several formats are made of.

    Args:
        network: keras.Model on a dictionary of the contract's inputs, from `inference_network`.
        card: DenoiserCard.
    """

    def __init__(self, network, card):
        self.network = network
        self.card = card

    @functools.cached_property
    def onnx_model(self):
        """onnx.ModelProto with the card: converted once, however many formats are made of it."""
        from .onnx_writer import convert

        return convert(self.network, self.card)
