"""The ONNX loader on files made by hand: what it reads and what it refuses."""

import json

import numpy as np
import pytest

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.artifacts.onnx_loader import load


def test_it_predicts_what_the_graph_says(toy, card):
    noisy_images = np.random.default_rng(0).standard_normal((2, *card.image_shape))
    predicted = load(toy)(noisy_images, np.array([0, 19]), np.array([3, 1]))
    shift = np.array([0.3, 0.119]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(predicted, noisy_images / 2 + shift, atol=1e-6)
    assert predicted.dtype == np.float32


def test_the_card_comes_back_equal(toy, card):
    assert load(toy).card == card


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("extra_inputs", ("forgotten_constant",), "exactly the inputs.*forgotten_constant"),
        ("output_name", "Identity:0", "exactly the outputs prediction.*Identity:0"),
        ("card_text", None, "carries no denoiser card"),
        ("card_text", "{", "card that cannot be used"),
        ("card_text", "[]", "card that cannot be used"),
    ],
)
def test_a_file_that_breaks_the_contract_is_refused_by_name(
    toy_file, tmp_path, field, value, message
):
    setattr(toy_file, field, value)
    path = toy_file.write(tmp_path / "spoilt.onnx")
    with pytest.raises(ArtifactError, match=message) as error:
        load_denoiser(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("field", "value"), [("format_version", 2), ("null_label", 2), ("alphas_cumprod", [1.5])]
)
def test_a_card_that_does_not_validate_is_refused(toy_file, tmp_path, field, value):
    toy_file.card_text = json.dumps(json.loads(toy_file.card_text) | {field: value})
    with pytest.raises(ArtifactError, match=f"card that cannot be used.*{field}"):
        load(toy_file.write(tmp_path / "spoilt.onnx"))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(toy, kept):
    whole = toy.read_bytes()
    toy.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ArtifactError, match=r"toy\.onnx"):
        load(toy)
