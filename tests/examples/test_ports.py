"""The ports in `examples/`, against the vectors and the image of a released model."""

import os
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conformance.vectors import FOLDER, read

EXAMPLES = Path(__file__).parents[2] / "examples"


(SHIP,) = [case for case in read("images") if case["seed"] == "7"]


def assert_the_ship(image):
    """An image is the ship of seed 7, to one level."""
    assert np.shape(image) == tuple(SHIP["image_shape"])
    assert np.abs(np.ravel(image).astype(int) - SHIP["pixels"]).max() <= 1


def assert_it_samples_the_ship(command, folder):
    """That a port does, by `command FILE LABEL SEED OUT`."""
    file = EXAMPLES.parent / SHIP["file"]["path"]
    subprocess.run([*command, file, str(SHIP["label"]), "7", "ship.ppm"], cwd=folder, check=True)
    assert_the_ship(Image.open(folder / "ship.ppm"))


@pytest.mark.slow
def test_the_port_to_cpp(tmp_path, find_program):
    """With the library of the Python package, and the headers of the system's."""
    headers = Path("/usr/include/onnxruntime")
    compiler = find_program("g++", "a C++ compiler")
    if not (headers.exists() and Path("/usr/include/nlohmann/json.hpp").exists()):
        leave = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        leave("needs the Debian packages libonnxruntime-dev and nlohmann-json3-dev")
    packages = Path(sysconfig.get_paths()["purelib"])
    (library,) = packages.glob("onnxruntime/capi/libonnxruntime.so.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (tmp_path / name).symlink_to(library)
    program = tmp_path / "sample"
    command = [compiler, "-std=c++17", "-O1", "-Wall", "-Werror", EXAMPLES / "cpp" / "sample.cpp"]
    command += [f"-I{headers}", f"-L{tmp_path}", "-lonnxruntime", f"-Wl,-rpath,{tmp_path}"]
    subprocess.run([*command, "-o", program], check=True)
    done = subprocess.run([program, "--check", FOLDER], capture_output=True, text=True)
    assert done.stdout == "agrees with the vectors\n", done.stderr
    assert_it_samples_the_ship([program], tmp_path)
