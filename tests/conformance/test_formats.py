"""Every guarantee of an exported file, over every row of FORMATS."""

import collections
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import zipfile
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from safetensors.numpy import load_file, save_file

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.artifacts.seal import seal
from kdiffusion.diffusion.card import CARD_MINOR_VERSION
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.sampling import sample
from kdiffusion.export import FORMATS, export_network
from kdiffusion.export.export_source import ExportSource
from kdiffusion.export.inference import inference_network
from kdiffusion.export.verify import largest_deviation
from kdiffusion.files import refuse_existing
from kdiffusion.images import to_uint8
from kdiffusion.networks.blocks import Upsample
from kdiffusion.networks.normalisation import GroupNorm

pytestmark = pytest.mark.slow


# Those that round the weights, as docs/formats.md states; the others agree to 1e-4 and one level.
_TOLERANCES = {"onnx_float16": 1e-2, "onnx_int8": 2e-1, "safetensors_float16": 1e-2}
_MEAN_LEVELS = {"onnx_float16": 0.1, "onnx_int8": 2.0, "safetensors_float16": 0.1}


@pytest.mark.parametrize("batch", [1, 3, 17])
def test_predictions_agree_with_the_live_network(denoisers, float32_network, format_name, batch):
    deviation = largest_deviation(float32_network, denoisers[format_name], [batch], seed=batch)
    assert deviation <= _TOLERANCES.get(format_name, 1e-4)
    assert _TOLERANCES.get(format_name, 1e-4) == FORMATS[format_name].TOLERANCE


def test_the_network_of_these_tests_predicts_something(float32_network, denoisers, card):
    images = np.random.default_rng(0).standard_normal((2, *card.image_shape))
    denoiser = denoisers["onnx"]
    predictions = [
        denoiser(images, np.full(2, timestep), np.full(2, label))
        for timestep, label in [(0, 0), (99, 0), (0, 3)]
    ]
    assert all(prediction.std() > 0.1 for prediction in predictions)
    assert np.abs(predictions[0] - predictions[1]).max() > 0.01  # the timestep matters
    assert np.abs(predictions[0] - predictions[2]).max() > 0.01  # and so does the label


def test_a_prediction_does_not_depend_on_its_batch(denoisers, format_name, card):
    denoiser = denoisers[format_name]
    images = np.random.default_rng(0).standard_normal((17, *card.image_shape))
    timesteps, labels = np.arange(17), np.arange(17) % 4
    together = denoiser(images, timesteps, labels)
    alone = denoiser(images[11:12], timesteps[11:12], labels[11:12])
    np.testing.assert_allclose(alone[0], together[11], atol=1e-5)


def test_a_batch_of_nothing_is_predicted_as_nothing(denoisers, format_name, card):
    nothing = np.zeros((0, *card.image_shape))
    prediction = denoisers[format_name](nothing, np.zeros(0, int), np.zeros(0, int))
    assert (prediction.shape, prediction.dtype) == (nothing.shape, np.float32)


def test_the_onnx_graph_is_rewritten_into_a_small_one(exported, float32_network):
    """The rules and layers that make it fast rest on what the converter writes."""
    operations = collections.Counter(n.op_type for n in onnx.load(exported["onnx"]).graph.node)
    norms = sum(isinstance(x, GroupNorm) for x in float32_network._flatten_layers())
    upsamplings = sum(isinstance(x, Upsample) for x in float32_network._flatten_layers())
    assert norms > 5
    assert upsamplings > 0
    # One mean over the map a norm: that of its squares is a product.
    assert operations["ReduceMean"] == norms
    assert operations["ConvTranspose"] == upsamplings
    assert not {"Resize", "Tile", "Shape"} & set(operations)


def test_rounded_weights_are_stored_as_what_they_are_called(exported):
    models = {name: onnx.load(exported[name]) for name in ("onnx", "onnx_float16", "onnx_int8")}
    operations = {
        name: collections.Counter(node.op_type for node in model.graph.node)
        for name, model in models.items()
    }
    graph = models["onnx_int8"].graph
    rounded = [each for each in graph.initializer if each.data_type == onnx.TensorProto.INT8]
    assert 0 < len(rounded) == operations["onnx_int8"]["DequantizeLinear"]
    kernels = [node.input[1] for node in models["onnx"].graph.node if node.op_type == "Conv"]
    names = {each.name for each in rounded}
    assert names <= {f"{kernel}/int8" for kernel in kernels[1:-1]}  # neither the first nor the last
    assert "QuantizeLinear" not in operations["onnx_int8"]  # what flows between is not rounded
    bytes_of = {name: _weight_bytes(model) for name, model in models.items()}
    assert bytes_of["onnx_float16"] < 0.7 * bytes_of["onnx"]
    assert bytes_of["onnx_int8"] < 0.9 * bytes_of["onnx_float16"]


def _weight_bytes(model):
    return sum(numpy_helper.to_array(each).nbytes for each in model.graph.initializer)


def _images(denoiser):
    labels, seeds = [0, 1, 2, 2], [7, 8, 9, 10]
    options = {"sampler": "ddim", "steps": 50, "guidance_strength": 1.5}
    images = sample(denoiser, labels, seeds, progress=False, **options)
    return to_uint8(images).astype(int)


@pytest.fixture(scope="module")
def live_images(float32_network, card):
    """What the network draws before it is exported."""
    from kdiffusion.export.inference import serving_function

    serve, _ = serving_function(float32_network, card.image_shape)

    def live(images, timesteps, labels):
        arrays = images.astype("float32"), timesteps.astype("int32"), labels.astype("int32")
        return serve(*arrays)["prediction"].numpy()

    return _images(NetworkDenoiser(card, live))


def test_images_of_50_steps_agree_within_one_level(denoisers, format_name, live_images):
    drawn = _images(denoisers[format_name])
    difference = np.abs(drawn - live_images)
    if format_name in _MEAN_LEVELS:
        assert difference.mean() <= _MEAN_LEVELS[format_name]
    else:
        assert difference.max() <= 1
    assert drawn.std() > 10  # they show something


def test_the_card_comes_back_equal_to_the_last_bit(denoisers, format_name, card):
    assert denoisers[format_name].card == card
    assert denoisers[format_name].card.alphas_cumprod == card.alphas_cumprod


@pytest.fixture
def copy_of(exported, format_name, tmp_path):
    """A copy of the exported file that a test may spoil."""
    path = tmp_path / exported[format_name].name
    (shutil.copytree if exported[format_name].is_dir() else shutil.copy)(
        exported[format_name], path
    )
    return path


def test_a_moved_file_still_loads(copy_of, card):
    assert load_denoiser(copy_of).card == card


def test_openvino_is_opened_by_its_folder_or_its_graph(exported, card):
    assert load_denoiser(exported["openvino"] / "denoiser.xml").card == card


def test_openvino_under_another_name_is_not_opened(exported, tmp_path):
    """Its seal is of two files by their names: there would be nothing to compare."""
    for part in exported["openvino"].iterdir():
        shutil.copy(part, tmp_path / f"digits{part.suffix}")
    with pytest.raises(ArtifactError, match=r"digits\.xml is none of the formats"):
        load_denoiser(tmp_path / "digits.xml")


@pytest.mark.parametrize(
    ("format_name", "module", "package"),
    [
        ("saved_model", "tensorflow", "tensorflow"),
        ("openvino", "openvino", "openvino"),
        ("litert", "ai_edge_litert", "ai-edge-litert"),
        ("safetensors", "tensorflow", "tensorflow"),
        ("safetensors", "safetensors", "safetensors"),
    ],
)
def test_a_library_that_is_not_installed_is_named(
    exported, format_name, module, package, monkeypatch
):
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not there
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ArtifactError, match=f"pip install {package}`"):
        load_denoiser(exported[format_name])


_WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = sys.modules["onnx"] = None
import numpy as np
from kdiffusion.artifacts import load_denoiser

for path in sys.argv[1:]:
    denoiser = load_denoiser(path)
    images = np.zeros((2, *denoiser.card.image_shape))
    print(denoiser(images, np.zeros(2, int), np.zeros(2, int)).shape)
"""


def test_the_other_formats_are_read_without_tensorflow(exported):
    of_tensorflow = ("saved_model", "safetensors", "safetensors_float16")
    paths = [path for name, path in exported.items() if name not in of_tensorflow]
    process = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TENSORFLOW, *paths],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.stdout.splitlines() == ["(2, 8, 12, 3)"] * len(paths), process.stderr


def _parts_of(path):
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


# The last 82 bytes of a LiteRT file are its seal: without them, or a part of them, it is whole.
@pytest.mark.parametrize(
    "kept_of",
    [
        lambda size: 0, lambda size: size // 2, lambda size: int(0.99 * size),
        lambda size: max(size - 82, 0), lambda size: size - 1,
    ],
    ids=["nothing", "half", "most", "all but the seal", "all but a byte"],
)  # fmt: skip
def test_truncation_of_any_part_is_refused_by_name(copy_of, kept_of):
    for part in _parts_of(copy_of):
        if part.name in ("fingerprint.pb", "denoiser_seal.txt"):  # the model does without them
            continue
        whole = part.read_bytes()
        part.write_bytes(whole[: kept_of(len(whole))])
        with pytest.raises(ArtifactError) as error:
            load_denoiser(copy_of)
        assert str(copy_of) in str(error.value), part
        part.write_bytes(whole)
    load_denoiser(copy_of)


def _refused_or_the_same(path, prediction_of, expected):
    """Whether a file is refused by name; one that loads must predict what it did, to the bit."""
    try:
        denoiser = load_denoiser(path)
    except ArtifactError as error:
        assert str(path) in str(error)  # noqa: PT017
        return True
    np.testing.assert_array_equal(prediction_of(denoiser), expected)
    return False


@pytest.fixture
def prediction_of(card):
    """A function: what a denoiser predicts for one fixed batch."""
    images = np.random.default_rng(0).standard_normal((2, *card.image_shape))
    return lambda denoiser: denoiser(images, np.array([3, 70]), np.array([0, 2]))


@pytest.mark.parametrize("places", [25])
def test_a_flipped_bit_never_makes_another_model(copy_of, prediction_of, places):
    """Over each file, weights and graph alike: only bits that say nothing are let by."""
    expected = prediction_of(load_denoiser(copy_of))
    refused = 0
    # TensorFlow does without its fingerprint.pb, and a file whose seal is gone is not compared.
    spare = ("fingerprint.pb", "denoiser_seal.txt")
    parts = [part for part in _parts_of(copy_of) if part.name not in spare]
    for part in parts:
        whole = part.read_bytes()
        for place in np.linspace(0, len(whole) - 1, places).astype(int):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << (place % 8)
            part.write_bytes(damaged)
            refused += _refused_or_the_same(copy_of, prediction_of, expected)
        part.write_bytes(whole)
    assert refused >= places * len(parts) - 2


def test_a_missing_part_never_makes_another_model(copy_of, prediction_of):
    expected = prediction_of(load_denoiser(copy_of))
    for part in _parts_of(copy_of):
        whole = part.read_bytes()
        part.unlink()
        if copy_of.exists():
            _refused_or_the_same(copy_of, prediction_of, expected)
        part.write_bytes(whole)


def test_a_card_of_a_newer_version_is_refused_by_name(small_network, card, format_name, tmp_path):
    text = json.dumps(json.loads(card.to_json()) | {"format_version": 99})
    newer = SimpleNamespace(**{**dataclasses.asdict(card), "to_json": lambda: text})
    path = tmp_path / FORMATS[format_name].ARTIFACT
    FORMATS[format_name].write(ExportSource(small_network, newer), path)
    with pytest.raises(ArtifactError, match=r"newer version.*99") as error:
        load_denoiser(path)
    assert str(path) in str(error.value)


def test_a_file_whose_card_has_fields_of_a_newer_minor_version_opens(
    small_network, card, format_name, tmp_path
):
    fields = {"format_minor_version": CARD_MINOR_VERSION + 1, "colour": {"of": ["the", 1]}}
    text = json.dumps(json.loads(card.to_json()) | fields)
    newer = SimpleNamespace(**{**dataclasses.asdict(card), "to_json": lambda: text})
    row = FORMATS[format_name]
    path = tmp_path / row.ARTIFACT
    row.write(ExportSource(small_network, newer), path)
    seal(path, row.PARTS)
    denoiser = load_denoiser(path)
    assert denoiser.card == card
    assert largest_deviation(small_network, denoiser) <= row.TOLERANCE


@pytest.mark.parametrize("names", [("cat", "dog"), ("cat", "dog", "ape", "eel")])
def test_a_card_of_other_classes_than_the_graph_is_refused_by_name(
    small_network, card, format_name, tmp_path, names
):
    text = dataclasses.replace(card, class_names=names, null_label=len(names)).to_json()
    other = SimpleNamespace(**{**dataclasses.asdict(card), "to_json": lambda: text})
    path = tmp_path / FORMATS[format_name].ARTIFACT
    FORMATS[format_name].write(ExportSource(small_network, other), path)
    with pytest.raises(ArtifactError, match="carries the card of another network") as error:
        load_denoiser(path)
    assert str(path) in str(error.value)


def _without_card_onnx(path):
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)


def _without_card_saved_model(path):
    for file in (path / "assets.extra").iterdir():
        file.unlink()


def _without_card_openvino(path):
    graph = ElementTree.parse(path / "denoiser.xml")
    runtime_information = graph.getroot().find("rt_info")
    runtime_information.remove(runtime_information.find("kdiffusion"))
    graph.write(path / "denoiser.xml")


def _without_card_litert(path):
    with zipfile.ZipFile(path) as archive:
        end_of_model = archive.infolist()[0].header_offset
    path.write_bytes(path.read_bytes()[:end_of_model])


def _without_card_safetensors(path):
    save_file(load_file(path), path)


_WITHOUT_CARD = {
    "onnx": _without_card_onnx,
    "onnx_float16": _without_card_onnx,
    "onnx_int8": _without_card_onnx,
    "saved_model": _without_card_saved_model,
    "openvino": _without_card_openvino,
    "litert": _without_card_litert,
    "safetensors": _without_card_safetensors,
    "safetensors_float16": _without_card_safetensors,
}


def test_a_file_without_a_card_is_refused_by_name(copy_of, format_name):
    _WITHOUT_CARD[format_name](copy_of)
    with pytest.raises(ArtifactError, match="carries no denoiser card") as error:
        load_denoiser(copy_of)
    assert str(copy_of) in str(error.value)


def test_a_file_that_differs_from_the_network_is_not_kept(
    small_network, card, format_name, tmp_path, monkeypatch
):
    true_format = FORMATS[format_name]

    def write_something_else(source, path):
        other = inference_network(source.network)
        other.set_weights([weight * 1.5 for weight in other.get_weights()])
        true_format.write(ExportSource(other, source.card), path)

    spoilt = SimpleNamespace(**vars(true_format) | {"write": write_something_else})
    monkeypatch.setitem(FORMATS, format_name, spoilt)
    with pytest.raises(ArtifactError, match=r"agree with the live network to 0\."):
        export_network(small_network, card, tmp_path / "export", [format_name])
    assert os.listdir(tmp_path / "export") == []


def test_weights_that_are_not_numbers_are_not_exported(small_network, card, tmp_path):
    broken = inference_network(small_network)
    broken.set_weights([np.full_like(weight, np.nan) for weight in broken.get_weights()])
    with pytest.raises(ArtifactError, match="nan"):
        export_network(broken, card, tmp_path / "export", ["saved_model"])
    assert os.listdir(tmp_path / "export") == []


def test_a_format_that_fails_leaves_nothing_and_the_others_stay(
    small_network, card, tmp_path, monkeypatch
):
    def fail(source, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    last = SimpleNamespace(ARTIFACT="last.bin", MARK=None, write=fail)
    monkeypatch.setitem(FORMATS, "last", last)
    with pytest.raises(ArtifactError, match=r"last: .*No space.*Exported: .*saved_model$"):
        export_network(small_network, card, tmp_path / "export", ["last", "saved_model"])
    assert os.listdir(tmp_path / "export") == ["saved_model"]
    assert load_denoiser(tmp_path / "export" / "saved_model").card == card
    with pytest.raises(OSError, match="No space"):
        export_network(small_network, card, tmp_path / "alone", ["last"])
    assert os.listdir(tmp_path / "alone") == []


def test_any_error_of_a_converter_is_told_of_one_format_too(
    small_network, card, tmp_path, monkeypatch
):
    def fail(source, path):
        raise RuntimeError("no such operator")

    last = SimpleNamespace(ARTIFACT="last.bin", MARK=None, write=fail)
    monkeypatch.setitem(FORMATS, "last", last)
    with pytest.raises(ArtifactError, match=r"^Not exported: last: no such operator\."):
        export_network(small_network, card, tmp_path / "export", ["last"])
    assert os.listdir(tmp_path / "export") == []


@pytest.mark.parametrize(
    ("name", "module"), [("openvino", "openvino"), ("litert", "ai_edge_litert")]
)
def test_a_runtime_that_is_missing_is_told_before_anything_is_written(
    card, tmp_path, monkeypatch, name, module
):
    monkeypatch.setitem(sys.modules, module, None)  # an import of it fails
    no_network = None  # would fail if it were touched
    with pytest.raises(ArtifactError, match=rf"has {name}.*`pip install [\w-]*{name}`"):
        export_network(no_network, card, tmp_path / "export", ["saved_model", name])
    assert os.listdir(tmp_path) == []


def test_an_existing_file_is_refused_before_any_work(exported, card, format_name):
    no_network = None  # would fail if it were touched
    with pytest.raises(FileExistsError, match="--overwrite"):
        export_network(no_network, card, exported[format_name].parent, [format_name])


def test_an_export_replaces_an_export(copy_of, format_name):
    refuse_existing(copy_of, overwrite=True, mark=FORMATS[format_name].MARK)


def test_an_unknown_format_is_refused_with_the_known_ones(card, tmp_path):
    for formats in (["tensorrt"], []):
        with pytest.raises(ValueError, match=r"onnx.*saved_model.*Received: formats="):
            export_network(None, card, tmp_path, formats)


_FULL_DISK = """
import resource, sys
from kdiffusion.export import FORMATS, export_network
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.networks.unet import UNet

card = DenoiserCard.from_json(open(sys.argv[1]).read())
network = UNet(card.image_shape, len(card.class_names), 16, (1,), 1, ())
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
for name in FORMATS:
    try:
        export_network(network, card, sys.argv[2], [name])
    except OSError as error:
        print("refused:", name, error)
"""


def test_a_full_disk_leaves_nothing(card, tmp_path):
    (tmp_path / "card.json").write_text(card.to_json())
    arguments = [tmp_path / "card.json", tmp_path / "export"]
    process = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    for name in FORMATS:
        assert f"refused: {name} " in process.stdout, process.stderr
    assert os.listdir(tmp_path / "export") == []
