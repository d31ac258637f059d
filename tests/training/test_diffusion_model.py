import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.diffusion.prediction import TARGETS
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.weighting import LOSS_WEIGHTINGS, loss_weights
from kdiffusion.networks.unet import UNet
from kdiffusion.training.diffusion_model import DiffusionModel
from kdiffusion.training.objectives import Denoising, Trajectory
from kdiffusion.training.timesteps import TIMESTEP_SAMPLING
from tests.training.toy import BATCHES, IMAGES, LABELS, compiled, draw, model_of


class Mine(Denoising):
    """An objective that a user loads as a custom object."""


@pytest.mark.parametrize(
    "objective",
    [
        Denoising("min_snr", "log_normal", 0.1, 0.5, 0.3),
        Trajectory(3, 1.5, (0.1, 2.0), (90, 50)),
        Mine(label_dropout=0.3),
    ],
)
def test_every_argument_comes_back_from_the_config(scale_network, schedule, objective):
    arguments = {
        "prediction_type": "v",
        "ema_decay": 0.5,
        "gradient_clip_norm": None,
        "gradient_accumulation": 3,
        "seed": 7,
        "name": "mine",
    }
    config = DiffusionModel(scale_network, schedule, objective, **arguments).get_config()
    assert {name: config[name] for name in arguments} == arguments
    with keras.saving.custom_object_scope({"Mine": Mine}):
        copy = DiffusionModel.from_config(json.loads(json.dumps(config)))
    assert (copy.objective, copy.schedule) == (objective, schedule)
    assert copy.get_config() == config


@pytest.mark.parametrize("prediction_type", TARGETS)
@pytest.mark.parametrize("weighting", LOSS_WEIGHTINGS)
def test_the_loss_is_the_weighted_squared_distance_to_the_target(
    scale_network, schedule, prediction_type, weighting
):
    objective = Denoising(loss_weighting=weighting)
    model = DiffusionModel(scale_network, schedule, objective, prediction_type)
    timesteps = np.array([0, 1, 25, 50, 75, 90, 98, 99], "int32")
    noise = np.random.default_rng(1).normal(size=IMAGES.shape).astype("float32")
    scale_network.set_weights([np.full((3, 1), 0.25), np.full((1, 1), 0.5)])
    images, labels, *drawn = (tf.constant(each) for each in (IMAGES, LABELS, timesteps, noise))
    batch = (images, {"label": labels}, *drawn)
    losses = objective.losses(model, scale_network, *batch, training=False)
    signal = np.sqrt(schedule.alphas_cumprod[timesteps])[:, None, None, None]
    noisiness = np.sqrt(1 - signal**2)
    targets = {"epsilon": noise, "x0": IMAGES, "v": signal * noise - noisiness * IMAGES}
    prediction = 0.5 * (signal * IMAGES + noisiness * noise) + 0.25
    errors = ((targets[prediction_type] - prediction) ** 2).mean(axis=(1, 2, 3))
    weights = loss_weights(schedule, prediction_type, weighting)[timesteps]
    np.testing.assert_allclose(losses, errors * weights, rtol=2e-5)


def test_a_class_is_validated_at_all_noise_levels_where_images_are_sorted(scale_network, schedule):
    model = model_of(scale_network, schedule)
    images = np.zeros((100, 2, 2, 1), "float32")
    timesteps = np.asarray(draw(model, images, -1, model.validation_timesteps)[0])
    # A folder's two classes, one after the other; unshuffled, the means are 24.5 and 74.5.
    assert abs(timesteps[:50].mean() - timesteps[50:].mean()) < 4 * np.sqrt(2 / 50 * 100**2 / 12)
    np.testing.assert_array_equal(np.sort(timesteps), np.arange(100))


@pytest.mark.parametrize("timestep_sampling", TIMESTEP_SAMPLING)
def test_draws_follow_their_distributions(scale_network, schedule, timestep_sampling):
    model = model_of(
        scale_network, schedule, timestep_sampling=timestep_sampling, label_dropout=0.1
    )
    timesteps, noise, dropped = draw(model, np.zeros((20_000, 2, 2, 1), "float32"), step=3)
    counts = np.bincount(timesteps, minlength=100)
    expected = np.full(100, 200.0)
    if timestep_sampling == "log_normal":
        expected = 20_000 * model.timestep_sampler.probabilities
    assert counts.sum() == 20_000
    assert np.all(np.abs(counts - expected) < 5 * np.sqrt(expected) + 1)
    assert abs(np.mean(noise)) < 5 / np.sqrt(80_000)
    assert abs(np.var(noise) - 1) < 5 * np.sqrt(2 / 80_000)
    assert abs(np.mean(dropped) - 0.1) < 5 * np.sqrt(0.09 / 20_000)


def test_draws_repeat_with_seed_and_step_and_differ_otherwise(scale_network, schedule):
    images = np.zeros((4, 2, 2, 1), "float32")
    first = DiffusionModel(scale_network, schedule, seed=1)
    second = DiffusionModel(scale_network, schedule, seed=2)
    noise = np.asarray(draw(first, images, 5)[1])
    np.testing.assert_array_equal(draw(first, images, 5)[1], noise)
    for model, step in ((first, 6), (second, 5), (first, -1)):
        assert np.abs(np.asarray(draw(model, images, step)[1]) - noise).max() > 0.1


@pytest.mark.parametrize(("label_dropout", "row_used"), [(0.0, [0, 1]), (1.0, [2])])
def test_dropped_labels_become_the_null_label(scale_network, schedule, label_dropout, row_used):
    model = compiled(scale_network, schedule, label_dropout=label_dropout)
    model.fit(BATCHES, verbose=0)
    table = scale_network.get_layer("offset").get_weights()[0][:, 0]
    assert set(np.flatnonzero(table)) == set(row_used)


def test_the_average_follows_the_weights_with_a_warm_up(scale_network, schedule):
    model = compiled(scale_network, schedule, ema_decay=0.3)
    average = [np.array(w) for w in scale_network.get_weights()]
    for step in range(1, 6):
        model.train_on_batch(IMAGES, LABELS)
        decay = min(0.3, (1 + step) / (10 + step))
        average = [
            decay * was + (1 - decay) * now
            for was, now in zip(average, scale_network.get_weights(), strict=True)
        ]
        for want, have in zip(average, model.ema_network.get_weights(), strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-8)


def test_evaluation_uses_the_average_and_repeats_exactly(scale_network, schedule):
    model = compiled(scale_network, schedule)
    before = model.evaluate(BATCHES, return_dict=True, verbose=0)
    scale_network.set_weights([np.ones((3, 1)), np.ones((1, 1))])
    assert model.evaluate(BATCHES, return_dict=True, verbose=0) == before
    model.ema_network.set_weights(scale_network.get_weights())
    assert model.evaluate(BATCHES, return_dict=True, verbose=0)["loss"] > before["loss"] + 0.1


@pytest.mark.slow
def test_a_saved_model_evaluates_samples_and_trains_on_alike(tmp_path, schedule):
    network = UNet((8, 8, 1), 2, 8, (1,), 1, (), dtype="mixed_float16")  # the loss is scaled
    images = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 1)).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((images, LABELS)).batch(8)
    model = model_of(network, schedule, timestep_sampling="loss_second_moment")
    model.compile("adamw", run_eagerly=True)  # sooner than four graphs are made
    model.fit(batches, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert int(copy.optimizer.iterations) == 2
    assert np.sum(copy.timestep_sampler.seen) == 16
    results = [
        [
            each.evaluate(batches, return_dict=True, verbose=0),
            each.sample([0, 1], [3, 4], sampler="ddim", steps=2, progress=False),
            each.fit(batches, verbose=0).history,
            [variable.numpy() for variable in (*each.weights, *each.optimizer.variables)],
        ]
        for each in (model, copy)
    ]
    np.testing.assert_equal(*results)
    assert np.isfinite(results[0][2]["loss"][0])


def test_the_denoiser_is_the_average_on_numpy_arrays(scale_network, schedule):
    model = DiffusionModel(scale_network, schedule)
    scale_network.set_weights([np.ones((3, 1)), np.ones((1, 1))])  # live, not averaged
    prediction = model.denoiser()(IMAGES[:3], np.zeros(3, "int64"), np.array([0, 1, 2]))
    np.testing.assert_array_equal(prediction, np.zeros_like(IMAGES[:3]))


def test_a_step_is_traced_once(scale_network, schedule):
    """An optimizer without its variables would make them in the first graph, and need another."""
    traced = []

    class Counting(DiffusionModel):
        def train_step(self, data):
            traced.append(data)
            return super().train_step(data)

    model = compiled(scale_network, schedule, "adamw", model_class=Counting)
    model.fit(IMAGES, LABELS, batch_size=4, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 4
    assert len(traced) == 1


def test_the_card_says_what_the_model_is(scale_network, schedule):
    model = DiffusionModel(scale_network, schedule, prediction_type="v", ema_decay=0.5)
    card = model.card(class_names=("a", "b"))
    assert (card.prediction_type, card.null_label, card.ema_decay) == ("v", 2, 0.5)
    assert card.guidance_strength == 1.0
    assert card.schedule == schedule


@pytest.mark.parametrize(
    "options", [{"timestep_sampling": "log_normal"}, {"loss_weighting": "min_snr"}]
)
def test_pure_noise_that_is_never_learnt_from_is_told(scale_network, options):
    schedule = make_schedule("cosine", 20, zero_terminal_snr=True)
    with pytest.warns(UserWarning, match="pure noise"):
        model_of(scale_network, schedule, prediction_type="v", **options)


@pytest.mark.slow
def test_a_saved_model_loads_in_a_new_process_and_tensorflow_starts_silently(
    schedule, tmp_path, run_python
):
    compiled(UNet((8, 8, 1), 2, 8, (1,), 1, ()), schedule).save(tmp_path / "model.keras")
    script = """
import sys
from kdiffusion.terminal import import_tensorflow
import_tensorflow()
print("started", file=sys.stderr, flush=True)
import kdiffusion
kdiffusion.load_model("model.keras")
"""
    done = run_python("-c", script, cwd=tmp_path, env={"TF_CPP_MIN_LOG_LEVEL": "0"})
    assert done.stdout == ""
    assert done.stderr.startswith("started\n")


@pytest.mark.parametrize("timestep_sampling", ["uniform", "stratified"])
def test_whose_label_is_dropped_has_nothing_to_do_with_its_timestep_or_its_noise(
    scale_network, schedule, timestep_sampling
):
    model = model_of(
        scale_network, schedule, timestep_sampling=timestep_sampling, label_dropout=0.3
    )
    # Of small batches, in whose strata a draw that both share would show.
    drawn = tf.function(lambda step: draw(model, tf.zeros((4, 2, 2, 1)), step))
    draws = [drawn(tf.constant(step, tf.int64)) for step in range(1000)]
    t, noise, dropped = (np.stack([np.asarray(d[k]) for d in draws]) for k in range(3))
    place = t / 25.0 - np.arange(4) if timestep_sampling == "stratified" else t / 100.0
    for values in (place, noise[:, :, 0, 0, 0], noise[:, :, 1, 1, 0]):
        found = np.corrcoef(values.ravel(), dropped.ravel())[0, 1]
        assert abs(found) < 4 / np.sqrt(dropped.size)
