"""The sampling loop against `conformance/v1`, whose vectors other languages read too."""

import json
from pathlib import Path

import numpy as np
import pytest

from conformance.write import conditions_of_look
from kdiffusion.artifacts import load_denoiser
from kdiffusion.artifacts.integrity import ArtifactError, card_from_text
from kdiffusion.atomic_files import sha256_of
from kdiffusion.diffusion.card import DenoiserCard
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.forward_process import NoiseSchedule
from kdiffusion.diffusion.prediction import TARGETS
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import sample, sampling_steps
from kdiffusion.diffusion.schedules import make_schedule
from kdiffusion.diffusion.seeded_noise import ImageNoise
from kdiffusion.diffusion.spacing import timestep_pairs
from kdiffusion.images import to_uint8
from tests.conformance.vectors import FOLDER, TRACES, assert_follows, place, read


@pytest.mark.parametrize("name", TRACES)
def test_the_loop_goes_where_the_trace_goes(name):
    """Where the network says what it said in the case."""
    case = TRACES[name]
    card, steps, looks = DenoiserCard.from_json(json.dumps(case["card"])), [], []

    def network(images, timesteps, labels, **more):
        said = {place(each): each for each in case["steps"][len(steps)]["looks"]}
        predictions = []
        for i, image in enumerate(images):
            look = {"t": int(timesteps[i]), "label": int(labels[i]), **conditions_of_look(more, i)}
            looks.append({**look, "x": image.ravel()})
            prediction = said.get(place(look), {"prediction": 0 * image})["prediction"]
            predictions.append(np.reshape(prediction, image.shape))
        return np.array(predictions, np.float32)

    image = np.reshape(case["image"], (1, 5, 1)) if "image" in case else None
    given = {"numbers": case.get("numbers"), "images": image}
    denoiser = NetworkDenoiser(card, network)
    for step in sampling_steps(denoiser, [case["label"]], [int(case["seed"])], **given):
        steps.append({"s": step.t, "looks": [*looks], "x0": step.x0.ravel(), "x": step.x.ravel()})
        looks.clear()
    assert_follows(case, steps, 1e-12)


def test_the_traces_show_what_they_are_for():
    cards = [case["card"] for case in TRACES.values()]
    assert {card.get("sampler") for card in cards} >= set(SAMPLERS)
    assert {card["prediction_type"] for card in cards} == set(TARGETS)
    assert any(card["alphas_cumprod"][-1] == 0 for card in cards)
    assert any(card["guidance_strength"] < 0 for card in cards)
    assert any(case["label"] == case["card"]["null_label"] for case in TRACES.values())
    clipped = [
        np.any(np.abs(step["x0"]) == 1) for case in TRACES.values() for step in case["steps"]
    ]
    assert np.mean(clipped) > 0.5


@pytest.mark.parametrize("case", read("noise"), ids=lambda case: case["seed"])
def test_noise(case):
    words = np.random.Philox(key=np.array([int(case["seed"]), 0], np.uint64)).random_raw(6)
    assert [int(word, 16) for word in case["words"]] == words.tolist()
    stream = ImageNoise([int(case["seed"])], case["image_shape"])
    for draw in case["draws"]:
        np.testing.assert_allclose(stream.normal().ravel(), draw, rtol=1e-14, atol=1e-15)


def test_timesteps():
    for case in read("timesteps"):
        schedule = make_schedule("linear", case["T"])
        if "alphas_cumprod" in case:
            schedule = NoiseSchedule(np.array(case["alphas_cumprod"]))
        pairs = timestep_pairs(schedule, case["steps"], case["spacing"])
        assert [t for t, _ in pairs] == case["timesteps"], case


def test_pixels():
    (case,) = read("pixels")
    assert to_uint8(np.float32(case["x"])).tolist() == case["pixels"]


@pytest.mark.filterwarnings("ignore:The file recommends")
@pytest.mark.parametrize("case", read("cards"), ids=lambda case: case["name"])
def test_cards(case):
    text = json.dumps(case["card"])
    if case["accepted"]:
        assert DenoiserCard.from_json(text).steps == 5
    else:
        with pytest.raises(ArtifactError):
            card_from_text(text, Path("model.onnx"))


def test_golden_predictions():
    (case,) = read("predictions")
    denoiser = load_denoiser("digits")
    images = np.reshape(case["noisy_image"], (2, *denoiser.card.image_shape))
    prediction = denoiser(images, case["timestep"], case["label"]).ravel()[:: case["stride"]]
    np.testing.assert_allclose(prediction, case["prediction"], rtol=0, atol=1e-3)


def test_images():
    """Where one of these fails because a released model was replaced, write the vectors again."""
    for case in read("images"):
        path = FOLDER.parents[1] / case["file"]["path"]
        assert sha256_of(path) == case["file"]["sha256"]
        image = sample(load_denoiser(path), [case["label"]], [int(case["seed"])], progress=False)
        difference = to_uint8(image).ravel().astype(int) - case["pixels"]
        assert np.abs(difference).max() <= 1
