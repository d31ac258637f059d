"""docs/ray_data.py on a Ray cluster of two workers, each a node of its own on this machine."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdiffusion import load_denoiser, sample, to_uint8

ROOT = Path(__file__).parents[1]


@pytest.fixture
def address(request):
    """Of a head that does no work, and of nodes that do: two of two cores, or what is asked for."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        for cpus in (0, *getattr(request, "param", (2, 2))):
            cluster.add_node(num_cpus=cpus, object_store_memory=2**27)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


# Once in the whole job, a worker kills itself in the middle of a block.
_KILLED = """
        import contextlib, os, pathlib
        with contextlib.suppress(FileExistsError):
            if len(seeds) and seeds[0] > 50:
                pathlib.Path(MARK).touch(exist_ok=False)
                os.kill(os.getpid(), 9)
        images ="""


def _draw(script, address, artifact, seeds, out):
    command = [sys.executable, script, artifact, "--seeds", seeds, "--out", out]
    command += ["--images-per-block", "10", "--steps", "3"]
    environment = {**os.environ, "RAY_ADDRESS": address, "PYTHONPATH": str(ROOT)}
    subprocess.run([*map(str, command)], env=environment, check=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("address", [(2,)], indirect=True)
def test_as_many_workers_as_cores_leave_one_for_what_hands_out_the_work(address, toy, tmp_path):
    from pyarrow import parquet

    _draw(ROOT / "docs" / "ray_data.py", address, toy, "0:100", tmp_path / "drawn")
    assert parquet.read_table(tmp_path / "drawn").num_rows == 100


@pytest.mark.slow
@pytest.mark.parametrize("is_killed", [False, True])
def test_two_workers_draw_each_seed_once_and_as_one_process_does(address, toy, tmp_path, is_killed):
    from pyarrow import parquet

    script, mark = tmp_path / "script.py", tmp_path / "killed"
    text = (ROOT / "docs" / "ray_data.py").read_text(encoding="utf-8")
    if is_killed:
        text = text.replace("\n        images =", _KILLED.replace("MARK", repr(str(mark))), 1)
    script.write_text(text, encoding="utf-8")
    _draw(script, address, toy, "5:205", tmp_path / "drawn")
    assert mark.exists() == is_killed
    rows = sorted(parquet.read_table(tmp_path / "drawn").to_pylist(), key=lambda row: row["seed"])
    seeds, labels = ([row[name] for row in rows] for name in ("seed", "label"))
    assert seeds == list(range(5, 205))
    assert labels == [seed % 3 for seed in seeds]
    assert is_killed or len({row["node"] for row in rows}) == 2
    images = np.stack([np.asarray(Image.open(io.BytesIO(row["image"]))) for row in rows])
    alone = sample(load_denoiser(toy), labels, seeds, steps=3, progress=False)
    np.testing.assert_array_equal(images, to_uint8(alone))
