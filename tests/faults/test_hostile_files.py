"""Files made by someone who wants more than to sample: nothing of theirs runs or gets out."""

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper
from PIL import Image

from conformance.write import make_card
from kdiffusion.artifacts import ArtifactError, load_denoiser, load_sampler
from kdiffusion.commands.seed_files import sample_to_folder
from kdiffusion.data import load_dataset
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.images import read_image
from kdiffusion.parts.evaluation.image_sets import open_images
from tests.onnx_models import make_denoiser

CARD = make_card(
    make_schedule("linear"), image_shape=(4, 4, 1), class_names=("../../cat", "/dog"),
    null_label=2, dataset="../../../elsewhere", preset="$(touch mark)",
)  # fmt: skip


def _onnx_file(path, node, initializers=()):
    model = make_denoiser([node], CARD.image_shape, CARD.to_json())
    model.graph.initializer.extend(initializers)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("load", [load_denoiser, load_sampler])
def test_a_saved_model_runs_only_if_it_is_trusted(tmp_path, monkeypatch, load):
    """What would run its code is TensorFlow, which isn't even imported."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (tmp_path / "saved_model.pb").touch()
    with pytest.raises(ArtifactError, match="--trust"):
        load(tmp_path)


def test_an_onnx_file_cannot_read_beside_its_folder(tmp_path):
    (tmp_path / "secret.bin").write_bytes(np.ones(1, "float32").tobytes())
    (tmp_path / "folder").mkdir()
    outside = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[1])
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../secret.bin")
    add = helper.make_node("Add", ["noisy_image", "secret"], ["prediction"])
    path = _onnx_file(tmp_path / "folder" / "denoiser.onnx", add, [outside])
    with pytest.raises(ArtifactError, match=r"denoiser\.onnx"):
        load_denoiser(path)


def test_names_in_a_card_are_no_paths_and_a_pickle_in_a_file_of_images_is_not_read(tmp_path):
    identity = helper.make_node("Identity", ["noisy_image"], ["prediction"])
    denoiser = load_denoiser(_onnx_file(tmp_path / "denoiser.onnx", identity))
    folder, before = tmp_path / "samples", set(tmp_path.rglob("*"))
    sample_to_folder(denoiser, [0, 1], range(4), folder, progress=False)
    new = set(tmp_path.rglob("*")) - before
    assert new
    assert all(path.is_relative_to(folder) for path in new)
    (images,) = folder.glob("*.npz")
    np.savez(images, **dict.fromkeys(("images", "labels", "seeds"), np.array([None])))
    with pytest.raises(ValueError, match="allow_pickle"):
        open_images(folder)


@pytest.mark.parametrize("name", [CARD.dataset, "someone:dataset", "huggingface:x/y", "/tmp/x"])
def test_a_card_names_no_data_set_that_would_be_fetched_as_code(name):
    """TFDS runs the code of community data sets, which have a namespace or a path for a name."""
    with pytest.raises(ValueError, match="name"):
        load_dataset(name)


def test_an_eps_under_another_name_reaches_no_ghostscript(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with Image.open(path) as opened:
        assert opened.format == "EPS"  # left alone, Pillow takes it
    with pytest.raises((ValueError, OSError), match=r"image\.png"):
        read_image(path)
