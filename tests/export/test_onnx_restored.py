"""ONNX in other precisions, made of an exported file alone: the very files of an export."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from kdiffusion.artifacts import ArtifactError, onnx_weights
from kdiffusion.artifacts.onnx_loader import SEAL_KEY
from kdiffusion.export import export_run
from kdiffusion.export.onnx_restored import FORMATS, restore

pytestmark = pytest.mark.slow
RUN = Path(__file__).parents[1] / "golden" / "run"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return export_run(RUN, tuple(FORMATS), tmp_path_factory.mktemp("exported"))


def test_of_float32_come_the_bytes_of_an_export(exported, tmp_path):
    written = restore(exported["onnx"], tmp_path)
    assert written.keys() == FORMATS.keys()
    for name, path in written.items():
        assert path.read_bytes() == exported[name].read_bytes()


def test_of_float16_comes_float32_with_its_numbers_from_which_a_run_can_start(exported, tmp_path):
    written = restore(exported["onnx_float16"], tmp_path)
    assert written["onnx_float16"].read_bytes() == exported["onnx_float16"].read_bytes()
    exact, rounded = map(onnx_weights.read, (written["onnx"], exported["onnx_float16"]))
    assert exact.card == rounded.card
    assert (exact.network_class, exact.network) == (rounded.network_class, rounded.network)
    assert exact.network is not None
    assert exact.weights.keys() == rounded.weights.keys()
    for name, value in exact.weights.items():
        np.testing.assert_array_equal(value, rounded.weights[name])


def test_of_8_bits_comes_a_copy_alone(exported, tmp_path):
    written = restore(exported["onnx_int8"], tmp_path)
    assert written.keys() == {"onnx_int8"}
    assert written["onnx_int8"].read_bytes() == exported["onnx_int8"].read_bytes()


@pytest.mark.parametrize("text", ["[]", '{"a": 1}', "{"])
def test_a_damaged_list_of_weights_is_told_with_the_file(exported, tmp_path, text):
    model = onnx.load(exported["onnx"])
    before = {entry.key: entry.value for entry in model.metadata_props}
    texts = {**before, SEAL_KEY: "", onnx_weights.WEIGHTS_KEY: text}
    onnx.helper.set_model_props(model, texts)
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(ArtifactError, match=r"x\.onnx carries a list of weights that cannot be"):
        restore(tmp_path / "x.onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_and_an_existing_one_leave_nothing(exported, tmp_path):
    content = bytearray(exported["onnx"].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match="is damaged"):
        restore(tmp_path / "damaged.onnx", tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "denoiser_int8.onnx").write_text("mine")
    with pytest.raises(FileExistsError, match=r"denoiser_int8\.onnx exists"):
        restore(exported["onnx"], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["denoiser_int8.onnx"]
