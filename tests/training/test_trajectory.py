"""A student's steps are DDIM's, its teacher's the solver's with guidance, and it comes nearer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.training.objectives import Trajectory
from kdiffusion.training.solver_path import follow, solver_path
from tests.training.toy import BATCHES, LABELS, compiled

SEEDS = np.arange(len(LABELS))
GUIDANCE = {"guidance_strength": 1.5, "guidance_interval": (0.3, 3.0)}


@pytest.fixture
def network(scale_network):
    scale_network.set_weights([np.array([[0.5], [-0.3], [0.1]]), np.array([[0.4]])])
    return scale_network


@pytest.fixture
def student(network, schedule):
    """A function: a student, compiled, of the teacher `network`."""

    def make(timesteps, optimizer="sgd", network=network, **arguments):
        return compiled(
            network, schedule, optimizer, objective=Trajectory, timesteps=timesteps,
            prediction_type="v", **arguments,
        )  # fmt: skip

    return make


def _images(model, paths, network):
    x = tf.constant(initial_latents(SEEDS, (2, 2, 1)), tf.float32)
    for path in paths:
        x = follow(model, path, network, x, {"label": tf.constant(LABELS)})
    return x


def _distance(model):
    return model.evaluate(BATCHES, return_dict=True, verbose=0)["loss"]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(99, 39, [99, 84, 69, 54]), (99, -1, [99, 55, 24, 5]), (5, -1, [5, 2, 1, 0]), (1, -1, [1, 0])],
)
def test_the_teachers_steps_are_short_before_the_clean_image(schedule, start, end, expected):
    path = solver_path(schedule, start, end, 4, np.zeros(100))
    assert path.timesteps.tolist() == expected


@pytest.mark.parametrize("guidance", [{}, GUIDANCE, {"guidance_strength": 0.7}])
def test_the_teacher_goes_as_the_sampling_loop_does(student, schedule, guidance):
    model = student((90,), teacher_steps=7, **guidance)
    ((_, path),) = model.objective.paths(schedule)
    expected = model.sample(
        LABELS, SEEDS, sampler="dpmpp_2m", timesteps=path.timesteps.tolist(), progress=False,
        **{"guidance_strength": 0.0, **guidance},
    )  # fmt: skip
    np.testing.assert_allclose(_images(model, [path], model.teacher), expected, atol=2e-6)


def test_the_student_samples_as_its_card_says(student, schedule):
    model = student((99, 60, 20), **GUIDANCE)
    expected = model.sample(
        LABELS, SEEDS, sampler="ddim", timesteps=(99, 60, 20), guidance_strength=0, progress=False
    )
    own = [own for own, _ in model.objective.paths(schedule)]
    images = _images(model, own, model.ema_network)
    np.testing.assert_allclose(images, expected, atol=2e-6)


def test_a_teacher_of_the_same_steps_is_met_exactly(student):
    model = student((99, 60, 20), teacher_steps=1)
    assert _distance(model) == 0


def test_training_brings_the_student_nearer_and_leaves_the_teacher(student):
    model = student((99, 60, 20), keras.optimizers.Adam(0.01), ema_decay=0.9, **GUIDANCE)
    before, weights = _distance(model), model.teacher.get_weights()
    model.fit(BATCHES, epochs=30, verbose=0)
    assert _distance(model) < 0.7 * before
    assert int(model.step) == 60
    assert int(model.optimizer.iterations) == 180  # one for each of the steps
    np.testing.assert_equal(model.teacher.get_weights(), weights)


def test_parts_of_a_batch_have_its_gradient(network, student):
    weights = []
    for parts in (1, 2):
        network = type(network).from_config(network.get_config())
        model = student((99, 50), network=network, gradient_accumulation=parts, **GUIDANCE)
        model.fit(BATCHES.unbatch().batch(4, drop_remainder=True), verbose=0)
        weights.append(network.get_weights())
    for whole, in_parts in zip(*weights, strict=True):
        np.testing.assert_allclose(in_parts, whole, rtol=1e-5, atol=1e-7)


def test_a_saved_student_has_its_teacher(student, tmp_path):
    model = student((99, 50), **GUIDANCE)
    model.network.set_weights([np.ones((3, 1)), np.ones((1, 1))])
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_equal(copy.network.get_weights(), model.network.get_weights())
    np.testing.assert_equal(copy.teacher.get_weights(), model.teacher.get_weights())
