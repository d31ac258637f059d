"""docs/spec.md: the loop that it prints samples what kdiffusion samples."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from kdiffusion import load_denoiser, sample, to_uint8
from kdiffusion.diffusion.prediction import TARGETS
from tests.onnx_models import write_toy

TEXT = (Path(__file__).parents[1] / "docs" / "spec.md").read_text(encoding="utf-8")
OTHER = {"timesteps": (19, 17, 12, 3, 0), "guidance_interval": (0.3, 3.0), "clip": False}
ROWS = np.tril(np.random.default_rng(0).normal(0, 0.02, (5, 4)), 1)  # of steps that exist
FITTED = {**OTHER, "steps": 5, "sampler": "fitted", "coefficients": ROWS}


@pytest.mark.parametrize("fields", [{}, OTHER, FITTED], ids=["plain", "other", "fitted"])
@pytest.mark.parametrize("prediction_type", TARGETS)
def test_the_printed_loop_samples_the_same_images(
    tmp_path, monkeypatch, card, prediction_type, fields
):
    card = dataclasses.replace(card, prediction_type=prediction_type, **fields)
    file = write_toy(tmp_path / "denoiser.onnx", card.to_json(), card.image_shape)
    denoiser = load_denoiser(file)
    monkeypatch.chdir(tmp_path)
    (loop,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {}
    exec(loop, names)
    pairs = [(names["images"], sample(denoiser, [0, 1], [0, 7], progress=False))]
    for sampler in ("unipc", "ddim", "dpmpp_2m", "dpmpp_2m_sde"):
        ours = sample(denoiser, [2, 1], [0, 7], sampler=sampler, progress=False)
        pairs.append((names["sample"]([2, 1], [0, 7], sampler), ours))
    for theirs, ours in pairs:
        assert np.abs(theirs.astype(int) - to_uint8(ours)).max() <= 1
        assert theirs.std() > 30
