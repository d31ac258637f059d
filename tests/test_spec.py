"""docs/spec.md: the loop that it prints samples what kdiffusion samples."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from kdiffusion import load_denoiser, sample, to_uint8
from kdiffusion.artifacts.released import released_models

TEXT = (Path(__file__).parents[1] / "docs" / "spec.md").read_text(encoding="utf-8")


@pytest.fixture(params=sorted(released_models()))
def printed(request, tmp_path, monkeypatch):
    """(the names that the printed loop makes, the same model as kdiffusion opens it)."""
    shutil.copy(released_models()[request.param], tmp_path / "denoiser.onnx")
    monkeypatch.chdir(tmp_path)
    (loop,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {}
    exec(loop, names)
    return names, load_denoiser(tmp_path / "denoiser.onnx")


@pytest.mark.parametrize("sampler", ["unipc", "ddim"])
def test_the_printed_loop_samples_the_same_images(printed, sampler):
    names, denoiser = printed
    ours = sample(denoiser, [3, 8], [0, 7], sampler=sampler, progress=False)
    theirs = names["sample"]([3, 8], [0, 7], sampler)
    assert np.abs(theirs.astype(int) - to_uint8(ours)).max() <= 1
    assert theirs.std() > 30
