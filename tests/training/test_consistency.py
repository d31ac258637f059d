"""Consistency: r comes nearer to t, the loss is the paper's, and one step comes nearer."""

import keras
import numpy as np
import pytest

from kdiffusion.diffusion.higher_order_samplers import first_order
from kdiffusion.diffusion.sampling_options import SamplingOptions
from kdiffusion.diffusion.sampling_plan import make_plan
from kdiffusion.diffusion.schedules import SCHEDULES, make_schedule
from kdiffusion.training.consistency import STAGES, ConsistencyModel, nearer_timesteps
from tests.training.toy import BATCHES, IMAGES, LABELS

GUIDANCE = {"guidance_strength": 1.5, "guidance_interval": (0.3, 3.0)}
DRAWS = {"timestep_sampling": "log_normal", "log_sigma": (-1.1, 2.0)}


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_compared_timesteps_come_nearer_in_each_stage(name):
    schedule = make_schedule(name, 1000)
    stages = np.stack([nearer_timesteps(schedule, stage) for stage in range(STAGES)])
    assert (np.diff(stages, axis=0) >= 0).all()
    assert (stages >= -1).all()
    assert (stages < np.arange(1000)).all()
    # (1 + 8 / (1 + e^sigma)) / 4 is above 1 below sigma = ln(5 / 3): there it is diffusion's loss.
    assert (stages[0][schedule.noise_levels <= np.log(5 / 3)] == -1).all()
    assert (stages[0][schedule.noise_levels > 0.6] >= 0).all()
    np.testing.assert_array_equal(stages[-1], np.arange(1000) - 1)


def _model(network, schedule, optimizer="sgd", **arguments):
    model = ConsistencyModel(
        network, schedule, timesteps=(99, 40), teacher_steps=9, **{**DRAWS, **arguments}
    )
    model.compile(optimizer)
    return model


def test_the_loss_is_the_distance_over_the_gap(scale_network, schedule):
    scale_network.set_weights([np.array([[0.5], [-0.3], [0.1]]), np.array([[0.4]])])
    model = _model(
        scale_network, schedule, prediction_type="v", images_per_stage=len(IMAGES), **GUIDANCE
    )
    model.step.assign(2)  # after two batches: the third stage
    timesteps, noise, _ = (np.asarray(each) for each in model._draw(IMAGES, 2))
    denoiser = model.denoiser()  # the average, which is the network and the teacher as yet

    def clean_image(x, t, label, guidance, clip=True):
        options = SamplingOptions(clip=clip, **guidance)
        return make_plan(denoiser, options).predict_for([label])(x, int(t)).x0

    expected = []
    for image, label, t, eps in zip(IMAGES, LABELS, timesteps, noise, strict=True):
        r = int(nearer_timesteps(schedule, 2)[t])
        x = schedule.q_sample(image[None].astype("float64"), t, eps[None])
        x_r = first_order(x, clean_image(x, t, label, GUIDANCE), schedule, t, r)
        plain = {"guidance_strength": 0.0}
        goal = x_r if r < 0 else clean_image(x_r, r, label, plain, clip=False)
        gap = schedule.noise_levels[t] - (schedule.noise_levels[r] if r >= 0 else 0.0)
        expected.append(np.linalg.norm(clean_image(x, t, label, plain, clip=False) - goal) / gap)
    logs = model.train_on_batch(IMAGES, LABELS, return_dict=True)
    np.testing.assert_allclose(float(logs["loss"]), np.mean(expected), rtol=1e-4)


def test_training_brings_one_step_nearer_to_the_teacher(scale_network, schedule):
    scale_network.set_weights([np.array([[0.5], [-0.3], [0.1]]), np.array([[0.4]])])
    model = _model(
        scale_network, schedule, keras.optimizers.Adam(0.01), prediction_type="v", ema_decay=0.9,
        images_per_stage=80, **GUIDANCE,
    )  # fmt: skip
    before = model.evaluate(BATCHES, return_dict=True, verbose=0)["loss"]
    model.fit(BATCHES, epochs=60, verbose=0)
    assert model.evaluate(BATCHES, return_dict=True, verbose=0)["loss"] < 0.8 * before


def test_the_config_returns_every_argument(scale_network, schedule):
    model = _model(scale_network, schedule, images_per_stage=7, **GUIDANCE)
    copy = ConsistencyModel.from_config(model.get_config())
    for name in ConsistencyModel.settings:
        assert getattr(copy, name) == getattr(model, name)
    assert (copy.images_per_stage, copy.teacher_steps) == (7, 9)
