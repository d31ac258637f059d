"""docs/ray_data.py on a Ray cluster of two nodes, which are on this machine."""

import io
from pathlib import Path

import numpy as np
import pytest
import ray
from PIL import Image
from pyarrow import parquet
from ray.cluster_utils import Cluster

from kdiffusion import load_denoiser, sample, to_uint8

ROOT = Path(__file__).parents[1]

# Once in the whole job, a worker kills itself in the middle of a block.
_KILLED = """
        import contextlib, os, pathlib
        with contextlib.suppress(FileExistsError):
            if len(seeds) and seeds[0] > 20:
                pathlib.Path(MARK).touch(exist_ok=False)
                os.kill(os.getpid(), 9)
        images ="""


@pytest.fixture
def address(monkeypatch):
    """The address of two nodes of one core, the first of which is the head."""
    # A node lets a process go that has been idle for a second, and takes many to start another.
    monkeypatch.setenv("RAY_idle_worker_killing_time_threshold_ms", "60000")
    cluster = Cluster()
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, object_store_memory=2**27, include_dashboard=False)
        cluster.wait_for_nodes(timeout=120)
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_sample_each_seed_once(
    address, toy, tmp_path, run_python
):
    script, mark, out = tmp_path / "script.py", tmp_path / "killed", tmp_path / "sampled"
    text = (ROOT / "docs" / "ray_data.py").read_text(encoding="utf-8")
    killed = _KILLED.replace("MARK", repr(str(mark)))
    assert "\n        images =" in text
    script.write_text(text.replace("\n        images =", killed, 1), encoding="utf-8")
    # Few blocks: each is written by a process that imports Ray Data.
    options = ["--seeds", "5:105", "--out", out, "--images-per-block", "25", "--steps", "3"]
    run_python(script, toy, *options, env={"RAY_ADDRESS": address}, timeout=300)
    assert mark.exists()
    rows = sorted(parquet.read_table(out).to_pylist(), key=lambda row: row["seed"])
    seeds, labels = ([row[name] for row in rows] for name in ("seed", "label"))
    assert seeds == list(range(5, 105))
    assert labels == [seed % 3 for seed in seeds]
    images = np.stack([np.asarray(Image.open(io.BytesIO(row["image"]))) for row in rows])
    alone = sample(load_denoiser(toy), labels, seeds, steps=3, progress=False)
    np.testing.assert_array_equal(images, to_uint8(alone))
