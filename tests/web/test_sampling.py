"""The loop in JavaScript against the Python one: every question to the network, every iterate."""

import json
from urllib.parse import urlencode

import numpy as np
import pytest

from kdiffusion.diffusion.interpolation import interpolate
from kdiffusion.diffusion.prediction import TARGETS, from_x0_and_eps
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.spacing import timestep_pairs
from kdiffusion.images import to_uint8


class Recorder:
    """The optimal denoiser of Gaussian pixels whose mean depends on the label; it keeps its calls.

    The wide spread takes some pixels out of range, so that clipping shows.
    """

    def __init__(self, card):
        self.card = card
        self.calls, self.predictions = [], []

    def __call__(self, images, timesteps, labels):
        x = images.astype(np.float64)
        alpha_bar = self.card.schedule.alpha_bar(timesteps)[:, None, None, None]
        mean = (labels[:, None, None, None] - 1) / 2
        x0 = mean + np.sqrt(alpha_bar) * 0.8 / (1 - 0.2 * alpha_bar) * (
            x - np.sqrt(alpha_bar) * mean
        )
        eps = (x - np.sqrt(alpha_bar) * x0) / np.sqrt(1 - alpha_bar)
        prediction = from_x0_and_eps(x0, eps, alpha_bar, self.card.prediction_type)
        self.calls.append((images, timesteps, labels))
        self.predictions.append(prediction.astype(np.float32))
        return self.predictions[-1]


def asked(ask, recorder, **settings):
    """What JavaScript does with these settings, where the network says what it said to Python."""
    return ask(
        "sample",
        query=urlencode(settings),
        card=json.loads(recorder.card.to_json()),
        predictions=[prediction.ravel().tolist() for prediction in recorder.predictions],
    )


def assert_same_loop(answer, recorder, iterates):
    assert len(answer["calls"]) == len(recorder.calls)
    for call, (images, timesteps, labels) in zip(answer["calls"], recorder.calls, strict=True):
        np.testing.assert_allclose(call["images"], images.ravel(), rtol=0, atol=1e-6)
        assert (call["timesteps"], call["labels"]) == (timesteps.tolist(), labels.tolist())
    assert [step["s"] for step in answer["iterates"]] == [s for s, _, _ in iterates]
    for step, (s, x, x0) in zip(answer["iterates"], iterates, strict=True):
        np.testing.assert_allclose(step["x"], x.ravel(), rtol=0, atol=1e-11, err_msg=f"x at {s}")
        np.testing.assert_allclose(step["x0"], x0.ravel(), rtol=0, atol=1e-11, err_msg=f"x0 at {s}")


def test_there_is_every_sampler(ask):
    assert ask("samplers") == {name: row.is_random() for name, row in SAMPLERS.items()}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(
    ("schedule", "prediction_type"),
    [
        (make_schedule("linear"), "epsilon"),
        (make_schedule("cosine"), "v"),
        (make_schedule("linear", 50, zero_terminal_snr=True), "x0"),
    ],
    ids=["epsilon", "v", "x0 from pure noise"],
)
def test_every_iterate_is_that_of_python(ask, make_card, schedule, prediction_type, sampler):
    card = make_card(schedule, prediction_type=prediction_type)
    recorder, iterates = Recorder(card), []
    sample(
        recorder, [2], [2**60 + 1], sampler=sampler, steps=7, guidance_strength=1.3,
        progress=False, callback=lambda index, s, x, x0: iterates.append((s, x, x0)),
    )  # fmt: skip
    answer = asked(ask, recorder, label=2, seed=2**60 + 1, sampler=sampler, steps=7, guidance=1.3)
    assert_same_loop(answer, recorder, iterates)
    assert any(np.any(np.abs(x0) == 1) for _, _, x0 in iterates)  # something was clipped


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_named_timesteps_lead_where_python_leads(ask, make_card, sampler):
    named = (999, 640, 320, 90)
    card = make_card(sampler=sampler, steps=4, timesteps=named, guidance_strength=0.5)
    for link, options in (
        ({}, {}),
        ({"timesteps": "900 500 3"}, {"timesteps": (900, 500, 3)}),
        ({"steps": 3}, {"steps": 3}),
    ):
        recorder, iterates = Recorder(card), []
        sample(
            recorder, [0], [0], progress=False, **options,
            callback=lambda index, s, x, x0, iterates=iterates: iterates.append((s, x, x0)),
        )  # fmt: skip
        assert_same_loop(asked(ask, recorder, **link), recorder, iterates)


@pytest.mark.parametrize("label", [0, 3])  # 3 is no class
def test_what_is_not_said_comes_from_the_card(ask, make_card, label):
    card = make_card(sampler="dpmpp_2m_sde", steps=4, guidance_strength=0.5)
    recorder, iterates = Recorder(card), []
    sample(
        recorder, [label], [0], progress=False,
        callback=lambda index, s, x, x0: iterates.append((s, x, x0)),
    )  # fmt: skip
    assert_same_loop(asked(ask, recorder, label=label), recorder, iterates)


@pytest.mark.parametrize("sampler", ["dpmpp_2m_sde", "dpmpp_2m"])
def test_a_walk_is_that_of_python(ask, make_card, sampler):
    """A random sampler gives way to ddim, as in Python."""
    card = make_card(sampler=sampler)
    recorder, iterates = Recorder(card), []
    interpolate(
        recorder, 1, (4, 9), frames=5, batch_size=1, steps=3, progress=False,
        callback=lambda index, s, x, x0: iterates.append((s, x, x0)),
    )  # fmt: skip
    # The second of five frames: a quarter of the way.
    recorder.calls, recorder.predictions = recorder.calls[3:6], recorder.predictions[3:6]
    answer = asked(ask, recorder, label=1, seed=4, to=9, at=0.25, steps=3)
    assert_same_loop(answer, recorder, iterates[3:6])


@pytest.mark.parametrize("num_timesteps", [2, 20, 1000])
def test_timesteps_for_every_number_of_steps(ask, num_timesteps):
    schedule = make_schedule("linear", num_timesteps)
    steps = range(1, num_timesteps + 1)
    expected = [list(map(list, timestep_pairs(schedule, count))) for count in steps]
    assert ask("pairs", T=num_timesteps, steps=list(steps)) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels(ask, channels):
    """Beyond the range, at every half between two levels, and in between."""
    halves = (np.arange(256) + 0.5) / 127.5 - 1
    x = np.concatenate([halves, np.random.default_rng(0).uniform(-1.5, 1.5, 347)])  # 603 = 3 * 201
    levels = to_uint8(x.astype(np.float32)).reshape(-1, channels)
    expected = np.full((len(levels), 4), 255)
    expected[:, :3] = levels
    assert ask("pixels", x=x.tolist(), channels=channels) == expected.ravel().tolist()


@pytest.mark.parametrize("prediction_type", TARGETS)
def test_every_prediction_type_is_known(ask, make_card, prediction_type):
    recorder = Recorder(make_card(prediction_type=prediction_type))
    image = sample(recorder, [0], [0], steps=2, progress=False)
    answer = asked(ask, recorder, steps=2)
    np.testing.assert_allclose(answer["iterates"][-1]["x"], image.ravel(), rtol=0, atol=1e-6)
