"""What the page reads out of an exported file, against what Python wrote into it."""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from kdiffusion.artifacts.integrity import (
    SELF_CHECK_KEY,
    TOLERANCE,
    UNSEALED,
    ArtifactError,
    check_seal,
    example_inputs,
    golden_text,
    seal,
)
from kdiffusion.artifacts.onnx_loader import CARD_KEY, SEAL_KEY
from kdiffusion.diffusion.card import ConditionImage
from kdiffusion.export.onnx_writer import save
from kdiffusion.parts.web import write_site
from tests.conformance.vectors import read
from tests.onnx_models import write_toy


@pytest.fixture
def file(toy, card):
    """The toy denoiser, sealed, with golden predictions."""
    model = onnx.load(toy)
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json(), SEAL_KEY: UNSEALED})
    save(model, card, toy)
    seal(toy, ())
    check_seal(toy)
    return toy


def test_it_reads_what_python_wrote(ask, file, card):
    answer = ask("artifact", path=str(file))
    assert answer["card"] == json.loads(card.to_json())
    texts = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert answer["golden"] == texts[SELF_CHECK_KEY]


def test_every_changed_byte_is_damage(ask, file):
    whole = file.read_bytes()
    after_seal = whole.index(b"kdiffusion-sha256:") + len(UNSEALED)
    for place in [0, len(whole) // 2, after_seal - 1, len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[place] ^= 4
        file.write_bytes(damaged)
        assert "SHA-256 has changed since its export" in ask("artifact", path=str(file))["refused"]


def test_a_model_that_needs_an_image_gets_no_page(card, tmp_path):
    image = ConditionImage(channels=1, meaning="edges")
    text = dataclasses.replace(card, image=image).to_json()
    file = write_toy(tmp_path / "denoiser.onnx", text, card.image_shape)
    with pytest.raises(ArtifactError, match="image"):
        write_site(file, tmp_path / "site")


@pytest.mark.parametrize("case", read("cards"), ids=lambda case: case["name"])
def test_cards(ask, case):
    assert ("refused" in ask("card", card=case["card"])) is not case["accepted"]


@pytest.mark.parametrize(("error", "let_by"), [(TOLERANCE / 2, True), (-3 * TOLERANCE, False)])
def test_the_runtime_is_asked_what_python_asks_and_held_to_it(ask, make_card, error, let_by):
    card = make_card()
    inputs = example_inputs(card)
    prediction = np.linspace(-1, 1, inputs["noisy_image"].size, dtype=np.float32)
    text = golden_text(prediction, card)
    prediction[-1] += np.float32(error)
    answer = ask(
        "runtime", card=json.loads(card.to_json()), text=text, prediction=prediction.tolist()
    )
    images, timesteps, labels = answer["asked"]
    np.testing.assert_allclose(images, inputs["noisy_image"].ravel(), rtol=0, atol=1e-6)
    assert (timesteps, labels) == (inputs["timestep"].tolist(), inputs["label"].tolist())
    assert ("refused" not in answer) is let_by
