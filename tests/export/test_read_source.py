"""What is exported: a file of weights gives the network that it was written from."""

import json

import numpy as np
import onnx
import pytest

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.artifacts.onnx_weights import NETWORK_KEY, WEIGHTS_KEY
from kdiffusion.export import export_network, export_run
from kdiffusion.export.read_source import read_source
from kdiffusion.networks import UNet
from kdiffusion.networks.unet2d import UNet2D

pytestmark = pytest.mark.slow


def _networks(card):
    yield UNet(card.image_shape, 3, 8, (1, 2), 1, (3,), embedding_channels=12, scale_shift=True)
    yield UNet2D(
        card.image_shape, 3, (8, 16), blocks_per_level=1, down_attention=(False, True),
        up_attention=(True, False), norm_groups=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(card, tmp_path_factory):
    """For each network: its files by format."""
    made, rng = [], np.random.default_rng(0)
    for network in _networks(card):
        network.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in network.get_weights()])
        folder = tmp_path_factory.mktemp("files")
        formats = ("onnx", "onnx_float16", "onnx_int8", "safetensors")
        made.append(export_network(network, card, folder, formats))
    return made


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("name", ["onnx_float16", "onnx_int8"])
def test_of_rounded_weights_comes_the_network_that_the_file_draws_with(files, card, name, index):
    file = files[index][name]
    network, read_card = read_source(file)
    assert read_card == card
    rng = np.random.default_rng(1)
    images = rng.standard_normal((2, *card.image_shape)).astype(np.float32)
    timesteps, labels = np.array([3, 11], np.int32), np.array([0, 3], np.int32)
    inputs = {"noisy_image": images, "timestep": timesteps, "label": labels}
    expected = load_denoiser(file)(images, timesteps, labels)
    np.testing.assert_allclose(network(inputs, training=False), expected, atol=5e-3)


def test_a_file_without_a_list_of_its_weights_is_refused(files, tmp_path):
    with pytest.raises(ArtifactError, match="has no list of its weights"):
        read_source(_with_metadata(files[0]["onnx_int8"], tmp_path / "x.onnx", {WEIGHTS_KEY: None}))


def test_a_file_that_does_not_say_its_network_is_refused(files, tmp_path):
    for name, value, words in (
        ("silent", None, "doesn't say of what network"),
        ("other", '{"class": "unet", "arguments": {}}', "does not say what network it is of"),
        ("broken", "{", "does not say what network it is of"),
    ):
        path = tmp_path / f"{name}.onnx"
        with pytest.raises(ArtifactError, match=words):
            read_source(_with_metadata(files[0]["onnx"], path, {NETWORK_KEY: value}))


@pytest.mark.parametrize("name", ["onnx", "onnx_int8"])
def test_a_list_of_others_than_the_graphs_weights_is_refused(files, tmp_path, name):
    model = onnx.load(files[0][name])
    entries = json.loads({e.key: e.value for e in model.metadata_props}[WEIGHTS_KEY])
    shapes = {}
    for key, entry in entries.items():
        if "constant" in entry and len(entry["shape"]) == 4:
            shapes.setdefault(tuple(entry["shape"]), []).append(key)
    first, second = next(keys for keys in shapes.values() if len(keys) > 1)[:2]
    entries[first], entries[second] = entries[second], entries[first]
    swapped = {WEIGHTS_KEY: json.dumps(entries)}
    with pytest.raises(ArtifactError, match="must list the weights that its graph predicts with"):
        read_source(_with_metadata(files[0][name], tmp_path / "x.onnx", swapped))


def _with_metadata(file, path, changes):
    """A copy without seal, with other metadata; without what is changed to None."""
    model = onnx.load(file)
    kept = {entry.key: entry.value for entry in model.metadata_props if "seal" not in entry.key}
    assert kept.keys() > changes.keys()
    texts = {key: text for key, text in (kept | changes).items() if text is not None}
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, texts)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("source", ["digits", "hf://owner/name"])
def test_a_model_in_no_folder_of_the_users_needs_a_place(source):
    with pytest.raises(ValueError, match=f"`out` must be given.*Received: {source}"):
        export_run(source)


def test_a_folder_of_a_released_models_name_is_written_as_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(FileNotFoundError, match="digits"):
        export_run("./digits")
    with pytest.raises(ValueError, match=r"A folder of that name here is \./digits\."):
        export_run("digits")
