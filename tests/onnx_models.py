"""ONNX models made by hand."""

import dataclasses

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from kdiffusion.artifacts.onnx_loader import CARD_KEY
from kdiffusion.diffusion.card import ConditionImage

IDENTITY = [helper.make_node("Identity", ["image"], ["prediction"])]


def make_model(nodes, inputs, outputs, constants=None, texts=None):
    """A model of opset 18.

    Args:
        nodes: list of what `helper.make_node` makes.
        inputs, outputs: {name: shape}; {name: (shape, type)} where that isn't float32.
        constants: {name: array}; float64 becomes float32.
        texts: {key: text}, its metadata.
    """

    def infos(values):
        for name, shape in values.items():
            shape, kind = shape if isinstance(shape, tuple) else (shape, TensorProto.FLOAT)
            yield helper.make_tensor_value_info(name, kind, shape)

    arrays = {name: np.asarray(value) for name, value in (constants or {}).items()}
    tensors = [
        numpy_helper.from_array(each.astype("float32") if each.dtype == float else each, name)
        for name, each in arrays.items()
    ]
    graph = helper.make_graph(nodes, "toy", [*infos(inputs)], [*infos(outputs)], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, texts or {})
    return model


def make_denoiser(nodes, image_shape, card_text, constants=None, **conditions):
    """A model whose `prediction` the nodes make of a denoiser's inputs.

    Args:
        nodes, constants: as of `make_model`.
        image_shape: `(height, width, channels)`.
        card_text: str. Its card; None: it has none.
        **conditions: the shapes of more inputs.
    """
    image, numbers = ["batch", *image_shape], (["batch"], TensorProto.INT32)
    inputs = {"noisy_image": image, "timestep": numbers, "label": numbers, **conditions}
    texts = {} if card_text is None else {CARD_KEY: card_text}
    return make_model(nodes, inputs, {"prediction": image}, constants, texts)


def write_toy(path, card_text, image_shape):
    """Writes prediction = noisy_image / 2 + (label + timestep / 100) / 10; gives its path."""
    constants = {"half": 0.5, "hundredth": 0.01, "tenth": 0.1, "column": [-1, 1, 1, 1]}
    nodes = [
        helper.make_node("Cast", ["label"], ["float_label"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["timestep"], ["float_timestep"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["float_timestep", "hundredth"], ["small_timestep"]),
        helper.make_node("Add", ["float_label", "small_timestep"], ["sum"]),
        helper.make_node("Mul", ["sum", "tenth"], ["shift"]),
        helper.make_node("Reshape", ["shift", "column"], ["shift_column"]),
        helper.make_node("Mul", ["noisy_image", "half"], ["halved"]),
        helper.make_node("Add", ["halved", "shift_column"], ["prediction"]),
    ]
    onnx.save(make_denoiser(nodes, image_shape, card_text, constants), path)
    return path


def write_upsampler(path, card, shape, nodes=IDENTITY, constants=None):
    """Writes a model that makes images twice as large, by nodes that predict x_0; gives its path.

    Args:
        path: Path.
        card: `DenoiserCard`; its steps and sampler are the model's.
        shape: `(height, width, channels)` of the larger image, which is its condition, too.
        nodes, constants: as of `make_denoiser`.
    """
    image = ConditionImage(channels=shape[-1], meaning="downsampled_2")
    card = dataclasses.replace(card, image_shape=shape, prediction_type="x0", image=image)
    given = ["batch", *shape]
    onnx.save(make_denoiser(nodes, shape, card.to_json(), constants, image=given), path)
    return path
