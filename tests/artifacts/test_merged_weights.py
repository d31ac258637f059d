"""Weights out of merged constants: those that compute the same."""

import numpy as np
import pytest

from kdiffusion.artifacts.merged_weights import MERGED
from kdiffusion.networks.attention import SelfAttention2D
from kdiffusion.networks.blocks import Upsample

# Row of `MERGED` ► (a layer of it, the form that has the merged constants, the plain form)
LAYERS = {
    "upsampling": (lambda: Upsample(5), "transposed", "resized"),
    "attention": (lambda: SelfAttention2D(1, norm=False), "folded", "plain"),
}


@pytest.fixture(params=MERGED)
def form(request):
    return request.param


def _layer(form, channels=6, seed=0):
    layer = LAYERS[form][0]()
    layer.build((None, 4, 4, channels))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.standard_normal(w.shape) for w in layer.get_weights()])
    weights = {part: np.asarray(_variable(layer, part)) for part in MERGED[form].weights}
    return layer, weights


def _variable(layer, part):
    for name in part.split("/"):
        layer = getattr(layer, name)
    return layer


def test_a_row_names_what_it_takes_and_gives(form):
    row, (_, weights) = MERGED[form], _layer(form)
    constants = row.merge(weights)
    assert tuple(constants) == row.constants
    assert {n: w.shape for n, w in row.separate(constants).items()} == {
        n: w.shape for n, w in weights.items()
    }


def test_separate_weights_merge_into_the_same_constants(form):
    row, (_, weights) = MERGED[form], _layer(form)
    constants = row.merge(weights)
    again = row.merge(row.separate(constants))
    for name, value in constants.items():
        np.testing.assert_allclose(again[name], value, atol=1e-10)


@pytest.mark.parametrize("computed", [1, 2])
def test_a_layer_computes_the_same_with_them_in_either_form(form, computed):
    layer, weights = _layer(form)
    inputs = np.random.default_rng(1).standard_normal((2, 4, 4, 6)).astype(np.float32)
    layer.form = LAYERS[form][computed]
    before = np.asarray(layer(inputs))
    for part, value in MERGED[form].separate(MERGED[form].merge(weights)).items():
        _variable(layer, part).assign(value)
    np.testing.assert_allclose(np.asarray(layer(inputs)), before, atol=1e-4 * abs(before).max())


def test_a_projection_of_zeros_as_it_is_before_training_stays_one():
    layer = SelfAttention2D(1, norm=False)
    layer.build((None, 4, 4, 6))
    row = MERGED["attention"]
    weights = {part: np.asarray(_variable(layer, part)) for part in row.weights}
    assert not row.separate(row.merge(weights))["project/kernel"].any()
