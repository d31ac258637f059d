"""Files made by someone who wants more than to draw: nothing of theirs runs.

The SavedModel and the pickle here are working attacks: opened without the guard, they write the
mark.
"""

import ast
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from kdiffusion.artifacts import ArtifactError, litert_loader, load_denoiser, saved_model_loader
from kdiffusion.artifacts.onnx_loader import CARD_KEY
from kdiffusion.commands.seed_files import read_folder, sample_to_folder
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.images import FILE_FORMATS, read_image

ROOT = Path(__file__).parent.parent.parent
CARD = DenoiserCard(
    image_shape=(4, 4, 1),
    class_names=("../../cat", "/dog"),
    null_label=2,
    prediction_type="epsilon",
    alphas_cumprod=(0.9, 0.5, 0.1),
    dataset="../../../elsewhere",
    preset="$(touch mark)",
    images_seen=0,
    ema_decay=0.0,
    sampler="ddim",
    steps=2,
    guidance_strength=0.0,
)


def _save(module, serve, path):
    import tensorflow as tf

    tf.saved_model.save(module, str(path), signatures={saved_model_loader.SIGNATURE: serve})
    (path / saved_model_loader.CARD_PATH).parent.mkdir()
    (path / saved_model_loader.CARD_PATH).write_text(CARD.to_json())
    return path


def _contract(function):
    import tensorflow as tf

    return tf.function(
        function,
        input_signature=[
            tf.TensorSpec([None, 4, 4, 1], tf.float32, "noisy_image"),
            tf.TensorSpec([None], tf.int32, "timestep"),
            tf.TensorSpec([None], tf.int32, "label"),
        ],
    )


def _restores_by_writing(mark, path):
    """Harmless to call: the file is written by a function that TensorFlow's loader runs."""
    import tensorflow as tf

    class Restored(tf.Module):
        def _serialize_to_tensors(self):
            return {"number": tf.constant(1.0)}

        def _restore_from_tensors(self, tensors):
            tf.io.write_file(str(mark), "written")
            return tensors["number"]

    module = tf.Module()
    module.part = Restored()
    return _save(module, _contract(_halves), path)


def _halves(noisy_image, timestep, label):
    return {"prediction": noisy_image / 2}


@pytest.mark.slow
def test_a_saved_model_runs_only_if_it_is_trusted(tmp_path):
    mark = tmp_path / "mark"
    path = _restores_by_writing(mark, tmp_path / "saved_model")
    mark.unlink(missing_ok=True)
    with pytest.raises(ArtifactError, match="--trust"):
        load_denoiser(path)
    assert not mark.exists()
    load_denoiser(path, trust=True)
    assert mark.exists()  # the attack is one


def _onnx_file(path, nodes, initializers=(), domains=()):
    image = helper.make_tensor_value_info("noisy_image", TensorProto.FLOAT, ["b", 4, 4, 1])
    others = [
        helper.make_tensor_value_info(name, TensorProto.INT32, ["b"])
        for name in ("timestep", "label")
    ]
    output = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["b", 4, 4, 1])
    graph = helper.make_graph(nodes, "g", [image, *others], [output], initializers)
    opsets = [helper.make_opsetid(domain, version) for domain, version in [("", 18), *domains]]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, {CARD_KEY: CARD.to_json()})
    path.write_bytes(model.SerializeToString())
    return path


def test_an_onnx_file_cannot_read_beside_its_folder(tmp_path):
    (tmp_path / "secret.bin").write_bytes(np.ones(1, "float32").tobytes())
    (tmp_path / "folder").mkdir()
    outside = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[1])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../secret.bin")
    add = helper.make_node("Add", ["noisy_image", "secret"], ["prediction"])
    path = _onnx_file(tmp_path / "folder" / "denoiser.onnx", [add], [outside])
    with pytest.raises(ArtifactError, match=r"denoiser\.onnx"):
        load_denoiser(path)


def test_an_onnx_file_cannot_bring_operations_of_its_own(tmp_path):
    node = helper.make_node("Run", ["noisy_image"], ["prediction"], domain="ai.onnx.contrib")
    path = _onnx_file(tmp_path / "denoiser.onnx", [node], domains=[("ai.onnx.contrib", 1)])
    with pytest.raises(ArtifactError, match=r"denoiser\.onnx"):
        load_denoiser(path)


def test_an_openvino_file_cannot_bring_operations_of_its_own(tmp_path):
    import openvino

    node = helper.make_node("Add", ["noisy_image", "noisy_image"], ["prediction"])
    onnx_path = _onnx_file(tmp_path / "denoiser.onnx", [node])
    model = openvino.Core().read_model(onnx_path)
    graph = tmp_path / "openvino" / "denoiser.xml"
    graph.parent.mkdir()
    openvino.save_model(model, graph, compress_to_fp16=False)
    known, unknown = 'type="Add" version="opset1"', 'type="Run" version="extension"'
    assert known in graph.read_text()
    graph.write_text(graph.read_text().replace(known, unknown))
    with pytest.raises(RuntimeError):
        load_denoiser(graph)


@pytest.mark.slow
def test_a_litert_file_cannot_bring_operations_of_its_own(tmp_path):
    import tensorflow as tf

    mark = tmp_path / "mark"

    def predict(noisy_image, timestep, label):
        with tf.control_dependencies([tf.io.write_file(str(mark), "ran")]):
            return {"prediction": tf.identity(noisy_image)}

    function = _contract(predict).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    converter.allow_custom_ops = True  # so that the operation comes into the file by its name
    path = tmp_path / "denoiser.tflite"
    path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(litert_loader.CARD_NAME, CARD.to_json())
    with pytest.raises((RuntimeError, ValueError)):
        load_denoiser(path)(np.zeros((1, 4, 4, 1)), [0], [0])
    assert not mark.exists()


class _Touch:
    """Unpickling it makes a file."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return Path.touch, (Path(self.mark),)


def _identity(tmp_path):
    node = helper.make_node("Identity", ["noisy_image"], ["prediction"])
    return load_denoiser(_onnx_file(tmp_path / "denoiser.onnx", [node]))


def test_a_shard_with_a_pickle_in_it_is_not_unpickled(tmp_path):
    mark, folder = tmp_path / "mark", tmp_path / "samples"
    denoiser = _identity(tmp_path)
    sample_to_folder(denoiser, [0, 1], range(4), folder, progress=False)
    (shard,) = folder.glob("*.npz")
    np.savez(shard, **dict.fromkeys(("images", "labels", "seeds"), np.array([_Touch(mark)])))
    pickle.loads(pickle.dumps(_Touch(tmp_path / "works")))
    assert (tmp_path / "works").exists()  # the attack is one
    with pytest.raises(ValueError, match="pickle"):
        list(read_folder(folder))
    assert not mark.exists()


def test_names_in_a_card_are_no_paths(tmp_path):
    """Class names, data set and preset that climb: all that is written lies where it was asked."""
    denoiser = _identity(tmp_path)
    before = set(tmp_path.rglob("*"))
    sample_to_folder(denoiser, [0, 1], range(4), tmp_path / "samples", progress=False)
    new = set(tmp_path.rglob("*")) - before
    assert new
    assert all(path.is_relative_to(tmp_path / "samples") for path in new)


def test_a_card_names_no_data_set_that_would_be_fetched_as_code():
    """TFDS runs the code of community data sets, which have a namespace or a path for a name."""
    from kdiffusion.data import load_dataset

    for name in (CARD.dataset, "someone:dataset", "huggingface:x/y", "/tmp/x", "kaggle:../x"):
        with pytest.raises(ValueError, match="name"):
            load_dataset(name)


@pytest.mark.slow
def test_a_keras_file_with_code_in_it_is_refused(tmp_path):
    import keras

    from kdiffusion.networks import UNet
    from kdiffusion.training import DiffusionModel

    model = DiffusionModel(UNet((8, 8, 1), 2, 8, (1,), 1, ()), (0.9, 0.5))
    model.save(tmp_path / "model.keras")
    layer = keras.layers.Lambda(lambda x: x)
    code = keras.saving.serialize_keras_object(layer)
    shutil.unpack_archive(tmp_path / "model.keras", tmp_path / "inside", "zip")
    config = json.loads((tmp_path / "inside" / "config.json").read_text())
    config["config"]["network"] = code
    (tmp_path / "inside" / "config.json").write_text(json.dumps(config))
    shutil.make_archive(tmp_path / "hostile", "zip", tmp_path / "inside")
    (tmp_path / "hostile.zip").rename(tmp_path / "hostile.keras")
    with pytest.raises((ValueError, TypeError), match=r"[Ll]ambda"):
        keras.saving.load_model(tmp_path / "hostile.keras")


def test_nothing_here_unpickles_or_evaluates():
    """pickle, its relatives, eval, exec, and the switches that let them in."""
    for folder in ("kdiffusion", "export"):
        for file in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    names = [f"{node.func.id}()"]
                elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                    names = [f"{node.arg}={node.value.value}"]
                banned = {
                    "pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "eval()",
                    "exec()", "allow_pickle=True", "safe_mode=False",
                }  # fmt: skip
                assert not banned & set(names), (file, names)


def test_an_eps_under_another_name_reaches_no_ghostscript(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with Image.open(path) as opened:
        assert opened.format == "EPS"  # left alone, Pillow takes it
    with pytest.raises(ValueError, match=r"image\.png cannot be read as an image"):
        read_image(path)


@pytest.mark.parametrize("format_name", FILE_FORMATS)
def test_the_formats_that_are_allowed_are_read(tmp_path, format_name):
    path = tmp_path / "image"
    Image.new("RGB", (4, 4), "white").save(path, format=format_name)
    assert read_image(path).shape[:2] == (4, 4)
