"""docs/ray_data.py, on a Ray of this machine alone."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet

from kdiffusion import load_denoiser, sample, to_uint8

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_two_workers_sample_each_seed_once(toy, tmp_path, run_python):
    # Few blocks: each is written by a process that imports Ray Data.
    options = ["--seeds", "5:55", "--images-per-block", "25", "--steps", "3"]
    out = tmp_path / "sampled"
    run_python(ROOT / "docs" / "ray_data.py", toy, *options, "--out", out, timeout=300)
    rows = sorted(parquet.read_table(out).to_pylist(), key=lambda row: row["seed"])
    seeds, labels = ([row[name] for row in rows] for name in ("seed", "label"))
    assert seeds == list(range(5, 55))
    assert labels == [seed % 3 for seed in seeds]
    images = np.stack([np.asarray(Image.open(io.BytesIO(row["image"]))) for row in rows])
    alone = sample(load_denoiser(toy), labels, seeds, steps=3, progress=False)
    np.testing.assert_array_equal(images, to_uint8(alone))
