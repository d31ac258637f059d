"""A network by its path: what it is given, what it gives, and which networks are refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from kdiffusion.evaluation import onnx_features as room
from kdiffusion.evaluation.onnx_features import OnnxFeatures

TYPES = {np.float32: TensorProto.FLOAT, np.uint8: TensorProto.UINT8}


@pytest.fixture
def network(tmp_path):
    """Writes a network whose features are its input, flattened, and return its path."""

    def write(shape, kind=np.float32, outputs=("features",), flat=True):
        cast = helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT)
        flatten = [
            helper.make_node("Flatten" if flat else "Identity", ["float"], [name])
            for name in outputs
        ]
        ranks = [["batch", None] if flat else ["batch", None, None, None] for _ in outputs]
        graph = helper.make_graph(
            [cast, *flatten],
            "flatten",
            [helper.make_tensor_value_info("x", TYPES[kind], shape)],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, rank)
                for name, rank in zip(outputs, ranks, strict=True)
            ],
        )
        opset = [helper.make_opsetid("", 18)]
        path = tmp_path / "network.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
        return path

    return write


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 4, 6, 3), np.uint8)


def test_pixels_arrive_in_the_order_and_the_range_that_the_network_takes(network, images):
    features = OnnxFeatures(network(["batch", 3, "height", "width"]), value_range=(-1, 1))(images)
    expected = images.transpose(0, 3, 1, 2) / 127.5 - 1
    np.testing.assert_allclose(features, expected.reshape(7, -1), atol=1e-6)
    features = OnnxFeatures(network(["batch", 4, 6, 3]))(images)
    np.testing.assert_array_equal(features, images.reshape(7, -1))
    features = OnnxFeatures(network(["batch", "h", "w", 3], np.uint8))(images)
    np.testing.assert_array_equal(features, images.reshape(7, -1))


def test_batches_make_the_whole_and_grey_is_three_times_the_same(network, images, monkeypatch):
    extract = OnnxFeatures(network(["batch", "h", "w", 3]))
    whole = extract(images)
    monkeypatch.setattr(room, "BATCH_SIZE", 3)
    np.testing.assert_array_equal(extract(images), whole)
    grey = extract(images[..., :1]).reshape(7, 4, 6, 3)
    np.testing.assert_array_equal(grey, np.repeat(images[..., :1], 3, axis=-1))


def test_images_are_brought_to_the_size_asked_for_without_rounding(network, images):
    features = OnnxFeatures(network(["batch", "h", "w", 3]), size=12)(images).reshape(7, 12, 12, 3)
    red = Image.fromarray(images[2, ..., 0].astype(np.float32))
    expected = np.asarray(red.resize((12, 12), Image.Resampling.BICUBIC))
    np.testing.assert_allclose(features[2, ..., 0], expected, rtol=1e-6)
    fixed = OnnxFeatures(network(["batch", 12, 12, 3]))(images).reshape(7, 12, 12, 3)
    np.testing.assert_array_equal(fixed, features)


def test_pooled_features_need_not_be_flat_and_maps_are_refused(network):
    pixel = np.arange(6, dtype=np.uint8).reshape(2, 1, 1, 3)
    extract = OnnxFeatures(network(["batch", 3, "h", "w"], flat=False))
    np.testing.assert_array_equal(extract(pixel), pixel.reshape(2, 3))
    with pytest.raises(ValueError, match=r"'features' of network\.onnx must be one row"):
        extract(np.zeros((2, 4, 4, 3), np.uint8))


def test_what_the_features_are_known_by_changes_with_what_changes_them(network):
    path = network(["batch", "h", "w", 3], outputs=("a", "b"))
    identities = {
        OnnxFeatures(path, output="a").identity,
        OnnxFeatures(path, output="b").identity,
        OnnxFeatures(path, size=8, output="a").identity,
        OnnxFeatures(path, value_range=(0, 1), output="a").identity,
        OnnxFeatures(network(["batch", "h", "w", 1], outputs=("a",))).identity,
    }
    assert len(identities) == 5


def test_weights_beside_the_graph_are_part_of_what_features_are_known_by(tmp_path, images):
    path, identities = tmp_path / "network.onnx", []
    for factor in (1.0, 1.0, 2.0):
        weights = numpy_helper.from_array(np.full((3, 400), factor, np.float32), "weights")
        graph = helper.make_graph(
            [
                helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
                helper.make_node("Flatten", ["pooled"], ["flat"]),
                helper.make_node("MatMul", ["flat", "weights"], ["features"]),
            ],
            "linear",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 3, "h", "w"])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["b", 400])],
            [weights],
        )
        (tmp_path / "network.onnx.data").unlink(missing_ok=True)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
        onnx.save(model, path, save_as_external_data=True, location="network.onnx.data")
        network = OnnxFeatures(path)
        identities.append(network.identity)
    assert (tmp_path / "network.onnx.data").stat().st_size == 4 * 3 * 400
    assert identities[0] == identities[1] != identities[2]


def test_images_of_a_size_that_the_network_does_not_take_are_named(tmp_path, images):
    weights = numpy_helper.from_array(np.ones((3 * 8 * 8, 2), np.float32), "weights")
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["features"]),
        ],
        "of 8 by 8",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", "h", "w", 3])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["b", 2])],
        [weights],
    )
    path = tmp_path / "network.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path
    )
    message = r"network\.onnx must take .*`--feature-size`.* \(7, 4, 6, 3\), from .* \(4, 6, 3\)"
    with pytest.raises(ValueError, match=message):
        OnnxFeatures(path)(images)
    assert OnnxFeatures(path, size=8)(images).shape == (7, 2)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (["batch", 12], {}, r"\[B, H, W, C\] or \[B, C, H, W\]"),
        (["batch", 4, 4, 5], {}, r"\[B, H, W, C\] or \[B, C, H, W\]"),
        ([1, 3, 8, 8], {}, "a batch of any size"),
        (["batch", 8, 8, 3], {"size": 12}, "`size` must be what network.onnx takes, 8 by 8"),
        (["batch", 8, 8, 3], {"output": "pool"}, "outputs of network.onnx, features"),
        (["batch", 8, 8, 3], {"value_range": (1, 1)}, "two different numbers"),
    ],
)
def test_a_network_with_another_input_is_refused(network, shape, options, message):
    with pytest.raises(ValueError, match=message):
        OnnxFeatures(network(shape), **options)


def test_other_files_outputs_and_images_are_refused(network, images, tmp_path):
    with pytest.raises(ValueError, match="a file that is there"):
        OnnxFeatures(tmp_path / "nowhere.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ValueError, match="cannot be read as a whole ONNX file"):
        OnnxFeatures(tmp_path / "text.onnx")
    with pytest.raises(ValueError, match=r"one of the outputs of network\.onnx, a, b"):
        OnnxFeatures(network(["batch", 8, 8, 3], outputs=("a", "b")))
    with pytest.raises(ValueError, match=r"must be \(0, 255\)"):
        OnnxFeatures(network(["batch", 8, 8, 3], np.uint8), value_range=(0, 1))
    with pytest.raises(ValueError, match="must have 1 channels"):
        OnnxFeatures(network(["batch", "h", "w", 1]))(images)
    with pytest.raises(ValueError, match="must be uint8"):
        OnnxFeatures(network(["batch", "h", "w", 3]))(images / 255.0)
