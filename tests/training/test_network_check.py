"""A network of the user's own: a subclass trains, is copied, saved and loaded."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kdiffusion.networks.unet import UNet
from kdiffusion.training.diffusion_model import DiffusionModel
from tests.networks.layer_values import network_inputs
from tests.own_network import OwnNetwork, keras_inputs

IMAGES = np.random.default_rng(0).uniform(-1, 1, (16, 4, 4, 3)).astype("float32")
LABELS = np.arange(16) % 5


def graph(last=None):
    inputs, last = keras_inputs((4, 4, 3)), last or layers.Conv2D(3, 3, padding="same")
    network = keras.Model(inputs, last(inputs["noisy_image"]))
    network.image_shape, network.num_classes = (4, 4, 3), 5
    return network


def test_a_subclass_is_built_trained_saved_and_loaded(schedule, tmp_path):
    network = OwnNetwork()
    model = DiffusionModel(network, schedule)
    before = model.network.get_weights()
    assert len(before) == 6
    np.testing.assert_equal(model.ema_network.get_weights(), before)
    model.compile("adam")
    model.fit(IMAGES, LABELS, batch_size=8, verbose=0)
    for was, live, averaged in zip(
        before, network.get_weights(), model.ema_network.get_weights(), strict=True
    ):
        assert not np.array_equal(was, live)
        assert not np.array_equal(was, averaged)
    model.save(tmp_path / "own.keras")
    copy = keras.saving.load_model(tmp_path / "own.keras")
    options = {"sampler": "ddim", "steps": 2, "progress": False}
    np.testing.assert_array_equal(
        copy.sample([0], [3], **options), model.sample([0], [3], **options)
    )
    np.testing.assert_array_equal(copy.optimizer.iterations, 2)


def test_a_plain_keras_model_is_saved_with_what_it_lacks(schedule, tmp_path):
    model = DiffusionModel(graph(), schedule)
    model.compile("sgd")
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert (copy.network.image_shape, copy.network.num_classes) == ((4, 4, 3), 5)
    np.testing.assert_equal(copy.get_weights(), model.get_weights())


def test_what_a_functional_model_lacks_is_named():
    network = graph()
    del network.num_classes
    with pytest.raises(ValueError, match="num_classes"):
        DiffusionModel(network, "cosine")
    network.num_classes = 5
    assert DiffusionModel(network, "cosine").schedule.num_timesteps == 1000


@pytest.mark.parametrize("make", [graph, OwnNetwork])
def test_keras_s_own_export_is_of_the_average(schedule, tmp_path, make):
    model = DiffusionModel(make(), schedule)
    model.compile("adam")
    model.network.set_weights([weight + 1 for weight in model.network.get_weights()])
    model.export(str(tmp_path / "exported"), verbose=False)
    inputs = network_inputs((4, 4, 3))
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    np.testing.assert_allclose(exported.serve(inputs), model(inputs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("last", [layers.Conv2D(1, 3, padding="same"), layers.Flatten()])
def test_another_output_than_an_image_is_refused(schedule, last):
    with pytest.raises(ValueError, match="`network`"):
        DiffusionModel(graph(last), schedule)


@pytest.mark.parametrize("policy", ["float16", "bfloat16"])
def test_weights_in_half_precision_are_refused(schedule, policy):
    network = UNet((8, 8, 1), 2, 8, (1,), 1, (), dtype=policy)
    with pytest.raises(ValueError, match=f"`network` must hold its weights in float32.*{policy}"):
        DiffusionModel(network, schedule)
