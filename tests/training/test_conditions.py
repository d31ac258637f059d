"""Training on numbers and images beside labels, and without labels."""

import keras
import numpy as np
import pytest

from kdiffusion.networks import named_weights
from kdiffusion.networks.unet import UNet
from kdiffusion.training.conditions import conditions_of, without
from kdiffusion.training.diffusion_model import DiffusionModel
from kdiffusion.training.objectives import Denoising, Trajectory

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (8, 4, 4, 1), np.uint8)
NUMBERS = RNG.normal(size=(8, 2)).astype("float32")
CONDITIONS = {
    "label": np.arange(8) % 3,
    "numbers": NUMBERS,
    "image": RNG.uniform(-1, 1, (8, 4, 4, 2)).astype("float32"),
}
BY_NAME = {**CONDITIONS, "numbers": {"slant": NUMBERS[:, 1], "weight": NUMBERS[:, 0]}}


BOTH = {"numbers": ("weight", "slant"), "image_channels": 2}


def make_model(schedule, num_classes=3, objective=Denoising(), **arguments):
    network = UNet((4, 4, 1), num_classes, 8, (1,), 1, (), **arguments)
    model = DiffusionModel(network, schedule, objective, prediction_type="v")
    model.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)  # sooner than a graph is traced
    return model


@pytest.fixture
def model(schedule):
    return make_model(schedule, **BOTH)


@pytest.mark.parametrize("objective", [Denoising(), Trajectory(teacher_steps=1, timesteps=(99,))])
def test_every_condition_is_learnt_from(schedule, objective):
    model = make_model(schedule, objective=objective, **BOTH)
    randomised = [RNG.normal(size=w.shape, scale=0.3) for w in model.network.get_weights()]
    if model.teacher is not None:
        model.teacher.set_weights(randomised)
    weights = named_weights(model.network)
    of_conditions = {
        "condition/embed_label/embeddings": np.s_[:3],  # without the null label's row
        "condition/embed_numbers/hidden/kernel": np.s_[:],
        "conv_in/kernel": np.s_[:, :, 1:],  # beside x_t
    }
    before = {name: np.array(weights[name]) for name in of_conditions}
    model.fit(PIXELS, CONDITIONS, batch_size=8, epochs=4, verbose=0)
    for name, part in of_conditions.items():
        assert np.abs(weights[name] - before[name])[part].max() > 1e-6, name


def test_numbers_may_be_given_by_their_names(model):
    weights = model.ema_network.get_weights()
    model.ema_network.set_weights([RNG.normal(size=each.shape) for each in weights])
    losses = [
        model.evaluate(PIXELS, conditions, batch_size=4, verbose=0, return_dict=True)
        for conditions in (CONDITIONS, BY_NAME)
    ]
    assert losses[0] == losses[1]


def test_a_model_without_classes_takes_no_labels(schedule):
    model = make_model(schedule, num_classes=0, numbers=("weight", "slant"))
    model.fit(PIXELS, {"numbers": NUMBERS}, batch_size=4, verbose=0)
    assert model.card().class_names == ()
    numbers = {"weight": [0.0, 1.0], "slant": 0.5}
    images = model.sample([0, 0], numbers=numbers, steps=2, progress=False)
    assert images.shape == (2, 4, 4, 1)


def test_an_example_loses_all_its_conditions_at_once(model):
    conditions = conditions_of(CONDITIONS, model.network, 8)
    dropped = np.arange(8) % 2 == 0
    left = without(conditions, dropped, 3)
    np.testing.assert_array_equal(left["label"], np.where(dropped, 3, CONDITIONS["label"]))
    np.testing.assert_array_equal(np.isnan(left["numbers"]).all(axis=1), dropped)
    np.testing.assert_array_equal(np.any(left["image"] != 0, axis=(1, 2, 3)), ~dropped)
    np.testing.assert_equal(without(conditions, np.zeros(8, bool), 3), CONDITIONS)


def test_a_saved_model_has_its_conditions(model, tmp_path):
    model.ema_network.set_weights([RNG.normal(size=w.shape) for w in model.network.get_weights()])
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert copy.card() == model.card()
    options = {"numbers": {"weight": 1.0, "slant": 0.0}, "images": CONDITIONS["image"][:2]}
    options |= {"steps": 2, "progress": False}
    np.testing.assert_array_equal(copy.sample([0, 1], **options), model.sample([0, 1], **options))
