"""A judge made by hand in ONNX: a linear map, so that its answers are known."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from kdiffusion.parts.evaluation.judge import CARD_KEY
from tests.onnx_models import make_model

IMAGE_SHAPE = (4, 6, 1)  # height and width differ, so that a swap shows


@pytest.fixture
def cache(monkeypatch, tmp_path_factory):
    """The folder of a cache of its own; and few subsets, which are sooner measured."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(folder))
    monkeypatch.setattr("kdiffusion.parts.evaluation.measures.KERNEL_SUBSETS", 4)
    return folder


@pytest.fixture
def judge_file(tmp_path):
    """A judge whose features are the mean of the upper and of the lower half, and that reads
    "bright" where their sum is above 255."""
    card = {
        "class_names": ("dark", "bright"), "image_shape": IMAGE_SHAPE, "dataset": "toy",
        "accuracy": {"clean": 1.0}, "how_made": "by hand",
    }  # fmt: skip
    weights = np.zeros((4, 6, 2))
    weights[:2, :, 0] = weights[2:, :, 1] = 1 / 12
    nodes = [
        helper.make_node("Reshape", ["image", "flat"], ["pixels"]),
        helper.make_node("MatMul", ["pixels", "weights"], ["features"]),
        helper.make_node("MatMul", ["features", "head"], ["unbiased"]),
        helper.make_node("Add", ["unbiased", "bias"], ["logits"]),
    ]
    constants = {
        "flat": [-1, 24], "weights": weights.reshape(24, 2), "head": [[0.0, 1.0], [0.0, 1.0]],
        "bias": [255.0, 0.0],
    }  # fmt: skip
    inputs = {"image": ["batch", *IMAGE_SHAPE]}
    outputs = {"logits": ["batch", 2], "features": ["batch", 2]}
    model = make_model(nodes, inputs, outputs, constants, {CARD_KEY: json.dumps(card)})
    onnx.save(model, tmp_path / "toy.onnx")
    return tmp_path / "toy.onnx"


@pytest.fixture
def network(tmp_path):
    """Writes a network whose features are its input, flattened, and returns its path."""

    def write(shape, kind=np.float32, outputs=("features",), flat=True):
        cast = helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT)
        flatten = [
            helper.make_node("Flatten" if flat else "Identity", ["float"], [name])
            for name in outputs
        ]
        inputs = {"x": (shape, helper.np_dtype_to_tensor_dtype(np.dtype(kind)))}
        given = ["batch", None] if flat else ["batch", None, None, None]
        model = make_model([cast, *flatten], inputs, dict.fromkeys(outputs, given))
        onnx.save(model, tmp_path / "network.onnx")
        return tmp_path / "network.onnx"

    return write
