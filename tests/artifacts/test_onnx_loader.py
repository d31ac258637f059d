"""The ONNX loader on files made by hand: what it reads and what it refuses."""

import numpy as np
import pytest

from kdiffusion.artifacts import ArtifactError, load_denoiser
from tests.onnx_models import write_toy


def test_it_predicts_what_the_graph_says(toy, card):
    noisy_images = np.random.default_rng(0).standard_normal((2, *card.image_shape))
    predicted = load_denoiser(toy)(noisy_images, np.array([0, 19]), np.array([3, 1]))
    shift = np.array([0.3, 0.119]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(predicted, noisy_images / 2 + shift, atol=1e-6)
    assert predicted.dtype == np.float32


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_file_without_a_usable_card_is_refused_by_name(tmp_path, text):
    path = write_toy(tmp_path / "spoilt.onnx", text, (6, 4, 3))
    with pytest.raises(ArtifactError, match=r"spoilt\.onnx (has|carries)"):
        load_denoiser(path)
