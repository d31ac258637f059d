"""A judge made by hand in ONNX: a linear map, so that its answers are known."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper

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
def judge_card():
    return {
        "class_names": ("dark", "bright"), "image_shape": IMAGE_SHAPE, "dataset": "toy",
        "accuracy": {"clean": 1.0}, "how_made": "by hand",
    }  # fmt: skip


@pytest.fixture
def judge_file(tmp_path, judge_card):
    """A judge whose features are the mean of the upper and of the lower half, and that reads
    "bright" where their sum is above 255."""
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
    model = make_model(nodes, inputs, outputs, constants, {CARD_KEY: json.dumps(judge_card)})
    onnx.save(model, tmp_path / "toy.onnx")
    return tmp_path / "toy.onnx"


@pytest.fixture
def pixels_file(tmp_path):
    """A network whose features are the pixels of any images of a channel."""
    nodes = [helper.make_node("Flatten", ["x"], ["features"])]
    path = tmp_path / "pixels.onnx"
    onnx.save(make_model(nodes, {"x": ["batch", "h", "w", 1]}, {"features": ["batch", None]}), path)
    return path
