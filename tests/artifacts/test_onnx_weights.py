"""An ONNX file gives back the weights of every network, as they were trained."""

import base64
import itertools
import json
import math

import keras
import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, numpy_helper

from kdiffusion.artifacts import ArtifactError
from kdiffusion.artifacts.merged_weights import MERGED
from kdiffusion.artifacts.network_description import describe
from kdiffusion.artifacts.onnx_loader import SEAL_KEY
from kdiffusion.artifacts.onnx_weights import NETWORK_KEY, WEIGHTS_KEY, read
from kdiffusion.export import export_network
from kdiffusion.export.export_source import ExportSource
from kdiffusion.export.inference import inference_network
from kdiffusion.export.onnx_weights_list import without_copies
from kdiffusion.networks import UNet
from kdiffusion.networks.weights import named_weights


@pytest.fixture(scope="module")
def network(card):
    made = UNet(card.image_shape, 3, 8, (1, 2), 1, (3,), embedding_channels=12, scale_shift=True)
    rng = np.random.default_rng(0)
    made.set_weights([w + 0.1 * rng.standard_normal(w.shape) for w in made.get_weights()])
    return made


@pytest.fixture(scope="module")
def files(network, card, tmp_path_factory):
    formats = ("onnx", "onnx_float16", "onnx_int8")
    return export_network(network, card, tmp_path_factory.mktemp("weights"), formats)


@pytest.mark.parametrize(("name", "dtype"), [("onnx", np.float32), ("onnx_float16", np.float16)])
def test_every_weight_comes_back_under_its_name(files, network, card, name, dtype):
    stored = read(files[name])
    weights = stored.weights
    assert stored.card == card
    assert (stored.network_class, stored.network) == describe(network)
    named = named_weights(network)
    assert weights.keys() == named.keys()
    for weight_name, variable in named.items():
        exact = np.asarray(variable)
        rounded = exact.astype(dtype) if exact.ndim > 1 else exact
        found = weights[weight_name]
        assert found.dtype == np.float32
        # float16: a constant may have been kept whole, such as one of two different numbers.
        assert np.array_equal(found, rounded) or np.array_equal(found, exact), weight_name


def test_a_network_of_ones_own_is_not_taken_for_ours_by_its_name():
    own = type("UNet", (keras.Model,), {})(*[keras.Input((4,))] * 2)
    with pytest.raises(ValueError, match=r"`network` must be one of UNet.*Received: UNet"):
        describe(own)


def test_most_of_them_are_the_graphs_own(files):
    """What is written twice is the projections of attention and the upsampling alone."""
    entries = _metadata(onnx.load(files["onnx"]))
    twice = {name.split("/")[-2] for name, entry in entries.items() if "numbers" in entry}
    assert twice <= {"query", "key", "value", "project", "conv"}
    kernels = [name for name, entry in entries.items() if "numbers" in entry and "conv" in name]
    assert all("upsample" in name for name in kernels)


def test_a_file_in_8_bits_gives_weights_of_the_same_function_and_holds_no_copies(files, network):
    entries = _metadata(onnx.load(files["onnx_int8"]))
    assert not any("numbers" in entry for entry in entries.values())
    weights = read(files["onnx_int8"]).weights
    named = {name: np.asarray(variable) for name, variable in named_weights(network).items()}
    assert {name: w.shape for name, w in weights.items()} == {n: w.shape for n, w in named.items()}
    layers = {name: entry["form"] for name, entry in entries.items() if "form" in entry}
    assert set(layers.values()) == MERGED.keys()
    for layer, form in layers.items():
        merged = [
            MERGED[form].merge({part: w[f"{layer}/{part}"] for part in MERGED[form].weights})
            for w in (weights, named)
        ]
        for part, expected in merged[1].items():
            np.testing.assert_allclose(merged[0][part], expected, atol=2e-3 * abs(expected).max())
    for name, weight in weights.items():
        if not any(name.startswith(f"{layer}/") for layer in layers):
            step = np.abs(named[name]).max() / 127  # the largest scale of a channel
            np.testing.assert_allclose(weight, named[name], atol=1.01 * step)


def test_a_network_of_merged_weights_not_in_the_graph_keeps_its_copies(network, card):
    source = ExportSource(inference_network(network), card)
    entries = source.onnx_weights
    other = onnx.ModelProto()
    other.CopyFrom(source.onnx_model)
    for constant in other.graph.initializer:
        if len(constant.dims) == 4 and constant.dims[2:] in ([1, 1], [4, 4]):
            value = onnx.numpy_helper.to_array(constant)
            constant.CopyFrom(onnx.numpy_helper.from_array(2 * value, constant.name))
    shorter = without_copies(entries, source.onnx_model)
    assert any("form" in entry for entry in shorter.values())
    assert without_copies(entries, other) == entries


def test_a_layer_that_only_shares_the_names_keeps_its_copies():
    kernel = np.ones((5, 5, 2, 2), np.float32)
    numbers = base64.b64encode(kernel.tobytes()).decode()
    copy = {"numbers": numbers, "dtype": "float32", "axes": [0, 1, 2, 3], "shape": [5, 5, 2, 2]}
    assert without_copies({"own/conv/kernel": copy}, onnx.ModelProto()) == {"own/conv/kernel": copy}


def _metadata(model):
    return json.loads({entry.key: entry.value for entry in model.metadata_props}[WEIGHTS_KEY])


def _first(entries, key):
    return next(entry for entry in entries.values() if key in entry)


@pytest.mark.parametrize(
    "damage",
    [
        lambda entries: _first(entries, "constant").update(constant="none"),
        lambda entries: _first(entries, "constant").update(shape=[1000, 1000]),
        lambda entries: _first(entries, "constant").update(shape="x"),
        lambda entries: _first(entries, "constant").update(axes=[0, 0, 0, 0, 0]),
        lambda entries: _first(entries, "constant").pop("axes"),
        lambda entries: _first(entries, "numbers").update(numbers="%"),
        lambda entries: _first(entries, "numbers").update(dtype="object"),
        lambda entries: _first(entries, "numbers").update(
            numbers=base64.b64encode(b"1234").decode()
        ),
        lambda entries: entries.update(conv_in=[]),
    ],
)
def test_a_damaged_list_is_refused(files, tmp_path, damage):
    _refused(onnx.load(files["onnx"]), damage, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda entries: _first(entries, "form").update(form="none"),
        lambda entries: _first(entries, "form").update(constants=[]),
        lambda entries: _first(entries, "form")["constants"].popitem(),
        lambda entries: _first(entries, "form")["constants"].update(kernel="none"),
        lambda entries: _first(entries, "form")["constants"].update(
            kernel=_first(entries, "constant")["constant"]
        ),
    ],
)
def test_a_damaged_list_of_a_file_in_8_bits_is_refused(files, tmp_path, damage):
    _refused(onnx.load(files["onnx_int8"]), damage, tmp_path)


def test_scales_that_are_not_one_a_channel_are_refused(files, tmp_path):
    model = onnx.load(files["onnx_int8"])
    node = next(n for n in model.graph.node if n.op_type == "DequantizeLinear")
    scales = next(c for c in model.graph.initializer if c.name == node.input[1])
    longer = np.ones(len(numpy_helper.to_array(scales)) + 1, np.float32)
    scales.CopyFrom(numpy_helper.from_array(longer, scales.name))
    _refused(model, lambda entries: None, tmp_path, "are no scales of")


def test_a_constant_in_another_file_is_not_read(files, tmp_path, monkeypatch):
    model = onnx.load(files["onnx"])
    constant = next(c for c in model.graph.initializer if len(c.dims) == 4)
    (tmp_path / "secret").write_bytes(constant.raw_data)
    external_data_helper.set_external_data(constant, "secret")
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    monkeypatch.chdir(tmp_path)  # where onnx would look for it
    _refused(model, lambda entries: None, tmp_path, "lies in another file")


def test_merged_constants_in_more_combinations_than_a_network_has_are_refused(files, tmp_path):
    def damage(entries):
        entry = next(e for e in entries.values() if e.get("form") == "attention")
        stored = {c.name: c for c in model.graph.initializer}
        alike = stored[entry["constants"]["output_bias"]]
        kind = alike.dims, alike.data_type
        biases = [name for name, c in stored.items() if (c.dims, c.data_type) == kind]
        for query, output in itertools.product(biases, biases):
            constants = {**entry["constants"], "query_bias": query, "output_bias": output}
            entries[f"{query} and {output}"] = {**entry, "constants": constants}

    model = onnx.load(files["onnx_int8"])
    _refused(model, damage, tmp_path, "more often than a network has them")


def _refused(model, damage, tmp_path, message=""):
    entries = _metadata(model)
    damage(entries)
    path = _with_metadata(model, tmp_path, **{WEIGHTS_KEY: json.dumps(entries)})
    with pytest.raises(ArtifactError, match=f"list of weights that cannot be read.*{message}"):
        read(path)


def _with_metadata(model, folder, **texts):
    """A file of the model, with other metadata and no seal."""
    before = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**before, SEAL_KEY: "", **texts})
    onnx.save(model, folder / "x.onnx")
    return folder / "x.onnx"


def test_a_constant_that_many_weights_name_is_held_and_counted_once(files, network, tmp_path):
    model = onnx.load(files["onnx_float16"])
    entries = _metadata(model)
    kernel = next(e for e in entries.values() if "constant" in e and len(e["shape"]) == 4)
    entries = {str(number): kernel for number in range(1000)}
    text = json.dumps({"class": "unet", "arguments": describe(network)[1] | {"base_channels": 64}})
    texts = {WEIGHTS_KEY: json.dumps(entries), NETWORK_KEY: text}
    size = math.prod(kernel["shape"])
    with pytest.raises(ArtifactError, match=rf"needs \d+ weights, and the file holds {size}$"):
        read(_with_metadata(model, tmp_path, **texts))
    onnx.helper.set_model_props(
        model, {e.key: e.value for e in model.metadata_props if e.key != NETWORK_KEY}
    )
    first, *others = read(_with_metadata(model, tmp_path)).weights.values()
    assert all(np.shares_memory(first, other) for other in others)


def test_what_is_no_onnx_file_is_refused(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"no graph")
    with pytest.raises(ArtifactError, match="cannot be read as a whole ONNX file"):
        read(tmp_path / "x.onnx")
