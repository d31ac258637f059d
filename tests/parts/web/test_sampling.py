"""The loop in JavaScript against `conformance/v1` and Python: every question, every iterate."""

import json
from urllib.parse import urlencode

import numpy as np
import pytest

from conformance.write import AnalyticDenoiser, make_card
from kdiffusion.diffusion.interpolation import interpolate
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.spacing import SPACINGS, timestep_pairs
from tests.conformance.vectors import TRACES, assert_follows, read

EXACT = 1e-11


def test_there_is_every_sampler(ask):
    assert ask("samplers") == {name: row.always_random for name, row in SAMPLERS.items()}


@pytest.mark.parametrize("name", TRACES)
def test_the_loop_goes_where_the_trace_goes(ask, name):
    case = TRACES[name]
    query = {"label": case["label"], "seed": case["seed"]}
    if "numbers" in case:
        names = [number["name"] for number in case["card"]["numbers"]]
        query["numbers"] = " ".join(str(case["numbers"][name]) for name in names)
    looks = [step["looks"] for step in case["steps"]]
    given = {"card": case["card"], "looks": looks, "image": case.get("image")}
    steps = ask("sample", query=urlencode(query), **given)
    assert_follows(case, steps, EXACT)


@pytest.mark.parametrize("sampler", ["dpmpp_2m_sde", "dpmpp_2m"])
def test_a_walk_is_that_of_python(ask, sampler):
    """A random sampler gives way to ddim, as in Python."""
    card = make_card(make_schedule("linear", 100), sampler=sampler, guidance_strength=0)
    denoiser, steps = AnalyticDenoiser(card), []

    def keep(index, s, x, x0):
        looks, denoiser.looks = denoiser.looks, []
        steps.append({"s": s, "looks": looks, "x": x.ravel(), "x0": x0.ravel()})

    interpolate(denoiser, 1, (4, 9), frames=5, batch_size=1, steps=3, progress=False, callback=keep)
    steps = steps[3:6]  # the second of five frames: a quarter of the way
    received = ask(
        "sample", query=urlencode({"label": 1, "seed": 4, "to": 9, "at": 0.25, "steps": 3}),
        card=json.loads(card.to_json()), looks=[step["looks"] for step in steps],
    )  # fmt: skip
    assert_follows({"steps": steps}, received, EXACT)


@pytest.mark.parametrize("case", read("noise"), ids=lambda case: case["seed"])
def test_noise(ask, case):
    size = int(np.prod(case["image_shape"]))
    draws = ask("draws", seed=case["seed"], size=size, count=len(case["draws"]))
    # Logarithm and cosine differ between languages by a unit in the last place.
    np.testing.assert_allclose(draws, case["draws"], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(("name", "count"), [("linear", 2), ("linear", 20), ("cosine", 1000)])
def test_timesteps_for_every_number_of_steps(ask, name, count, spacing):
    schedule = make_schedule(name, count)
    steps = range(1, count + 1, 1 if count < 1000 else 13)
    expected = [[t for t, _ in timestep_pairs(schedule, each, spacing)] for each in steps]
    alphas = schedule.alphas_cumprod.tolist()
    assert ask("timesteps", alphas_cumprod=alphas, steps=list(steps), spacing=spacing) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels(ask, channels):
    (case,) = read("pixels")
    x, levels = (np.array(case[name])[: len(case["x"]) // 3 * 3] for name in ("x", "pixels"))
    expected = np.full((len(levels) // channels, 4), 255)
    expected[:, :3] = levels.reshape(-1, channels)
    assert ask("pixels", x=x.tolist(), channels=channels) == expected.ravel().tolist()
