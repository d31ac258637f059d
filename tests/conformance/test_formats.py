"""Every guarantee of an exported file, over every row of FORMATS."""

import collections
import os
import shutil

import numpy as np
import onnx
import openvino
import pytest

from kdiffusion import __version__
from kdiffusion.artifacts import ArtifactError, load_denoiser, load_sampler
from kdiffusion.artifacts.integrity import SELF_CHECK_KEY
from kdiffusion.artifacts.onnx_loader import CARD_KEY, SEAL_KEY
from kdiffusion.diffusion.sampling import sample
from kdiffusion.export.formats import FORMATS, export_network
from kdiffusion.export.onnx_writer import OPSET
from kdiffusion.export.source import ExportSource, inference_network
from kdiffusion.export.whole_sampler import SAMPLER_FORMATS, export_sampler
from kdiffusion.images import to_uint8
from kdiffusion.networks.layers import GroupNorm, Upsample

pytestmark = pytest.mark.slow

# Kind of file ► (its format, what writes it, what opens it).
KINDS = {
    **{name: (name, export_network, load_denoiser) for name in FORMATS},
    **{f"sampler {name}": (name, export_sampler, load_sampler) for name in SAMPLER_FORMATS},
}

# Those that round the weights, as docs/export.md states; the others agree to one level.
_MEAN_LEVELS = {"onnx_float16": 0.1, "onnx_int8": 2.0, "safetensors_float16": 0.1}


def test_a_prediction_does_not_depend_on_its_batch(denoisers, format_name, card):
    denoiser = denoisers[format_name]
    images = np.random.default_rng(0).standard_normal((17, *card.image_shape))
    timesteps, labels = np.arange(17), np.arange(17) % 4
    together = denoiser(images, timesteps, labels)
    alone = denoiser(images[11:12], timesteps[11:12], labels[11:12])
    np.testing.assert_allclose(alone[0], together[11], atol=1e-5)


def test_the_onnx_graph_is_small(exported, network):
    """The layers that make it fast rest on what the converter writes."""
    operations = collections.Counter(n.op_type for n in onnx.load(exported["onnx"]).graph.node)
    norms = sum(isinstance(x, GroupNorm) for x in network._flatten_layers())
    upsamplings = sum(isinstance(x, Upsample) for x in network._flatten_layers())
    assert norms > 5
    assert upsamplings > 0
    assert operations["ReduceMean"] == 2 * norms  # of the map, and of its squares
    assert operations["ConvTranspose"] == upsamplings
    assert not {"Resize", "Tile", "Shape"} & set(operations)


def test_an_onnx_file_says_what_it_is(exported):
    for name in ("onnx", "onnx_float16", "onnx_int8"):
        model = onnx.load(exported[name])
        assert (model.producer_name, model.producer_version) == ("kdiffusion", __version__)
        assert [(each.domain, each.version) for each in model.opset_import] == [("", OPSET)]
        metadata = {entry.key for entry in model.metadata_props}
        assert metadata == {CARD_KEY, SEAL_KEY, SELF_CHECK_KEY}  # no weights to train from


def test_openvino_reads_the_onnx_file_itself(exported, denoisers, card):
    """In float32, as docs/export.md asks for it."""
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(exported["onnx"], "CPU", hint)
    images = np.random.default_rng(0).standard_normal((5, *card.image_shape)).astype(np.float32)
    timesteps, labels = np.arange(95, 100, dtype=np.int32), np.array([0, 1, 2, 3, 3], np.int32)
    inputs = {"noisy_image": images, "timestep": timesteps, "label": labels}
    expected = denoisers["onnx"](images, timesteps, labels)
    np.testing.assert_allclose(compiled(inputs)["prediction"], expected, rtol=0, atol=1e-5)


def _images(denoiser):
    labels, seeds = [0, 1, 2, 2], [7, 8, 9, 10]
    options = {"sampler": "ddim", "steps": 50, "guidance_strength": 1.5}
    images = sample(denoiser, labels, seeds, progress=False, **options)
    return to_uint8(images).astype(int)


@pytest.fixture(scope="module")
def live_images(network, card):
    """What the network draws before it is exported."""
    return _images(ExportSource(inference_network(network), card).denoiser)


def test_images_of_50_steps_agree_within_one_level(denoisers, format_name, live_images):
    drawn = _images(denoisers[format_name])
    difference = np.abs(drawn - live_images)
    if format_name in _MEAN_LEVELS:
        assert difference.mean() <= _MEAN_LEVELS[format_name]
    else:
        assert difference.max() <= 1
    assert drawn.std() > 10  # they show something


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


def test_the_other_formats_are_read_without_tensorflow(exported, run_python):
    of_tensorflow = ("saved_model", "safetensors", "safetensors_float16")
    paths = [path for name, path in exported.items() if name not in of_tensorflow]
    said = run_python("-c", _WITHOUT_TENSORFLOW, *paths).stdout
    assert said.splitlines() == ["(2, 8, 12, 3)"] * len(paths)


@pytest.fixture(params=KINDS)
def kind(request, exported, whole_samplers):
    """(path of a file of each kind, its row of KINDS)."""
    name, export, load = KINDS[request.param]
    paths = whole_samplers("unipc", True) if export is export_sampler else exported
    return paths[name], name, export, load


def test_damage_to_any_part_is_refused_by_name(kind, tmp_path):
    """A flipped bit anywhere, and the end cut off.

    TensorFlow does without its fingerprint.pb, and a sampler without what sampler.json says of it.
    """
    source, _, _, load = kind
    copy = tmp_path / source.name
    (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    load(copy, trust=True)
    parts = [copy] if copy.is_file() else [p for p in copy.rglob("*") if p.is_file()]
    for part in parts:
        if part.name in ("fingerprint.pb", "denoiser_seal.txt", "sampler.json"):
            continue
        whole = part.read_bytes()
        damaged = []
        for place in np.linspace(0, len(whole) - 1, 6).astype(int)[1:-1]:
            flipped = bytearray(whole)
            flipped[place] ^= 1 << (place % 8)
            damaged.append(flipped)
        damaged.append(whole[: len(whole) // 2])
        for content in damaged:
            part.write_bytes(content)
            with pytest.raises(ArtifactError) as error:
                load(copy, trust=True)
            assert str(copy) in str(error.value), part
        part.write_bytes(whole)


@pytest.mark.parametrize(("factor", "deviation"), [(1.5, r"\d"), (np.nan, "nan")])
def test_a_file_that_differs_from_the_network_is_not_kept(
    small_network, card, tmp_path, monkeypatch, factor, deviation
):
    true_format = FORMATS["safetensors"]

    def write_something_else(source, path):
        other = inference_network(source.network)
        other.set_weights([weight * factor for weight in other.get_weights()])
        true_format.write(ExportSource(other, source.card), path)

    spoilt = true_format._replace(write=write_something_else)
    monkeypatch.setitem(FORMATS, "safetensors", spoilt)
    with pytest.raises(ArtifactError, match=f"live network .* deviation of {deviation}"):
        export_network(small_network, card, tmp_path, ["safetensors"])
    assert os.listdir(tmp_path) == []


def test_an_existing_file_is_refused_before_any_work(kind, card):
    path, name, export, _ = kind
    no_network = None  # would fail if it were touched
    with pytest.raises(FileExistsError, match="--overwrite"):
        export(no_network, card, path.parent, formats=[name])
