"""`import owner/name`, from a stand-in for the Hub."""

import json
from pathlib import Path

import numpy as np
import pytest

from kdiffusion.parts.diffusers.folder import WEIGHTS, read
from tests.parts.hub.conftest import stand_in  # noqa: F401

EXAMPLES = Path(__file__).parent / "examples"
NAME = "someone/model"


def _held_by(folder):
    """{path: bytes} of a folder in diffusers' layout."""
    paths = [path for path in folder.rglob("*.*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _weights_asked(server):
    paths = {path.partition("/resolve/")[2] for path in server.requests}
    return {path.partition("/")[2] for path in paths if path.endswith((".bin", ".safetensors"))}


VARIANT = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.mark.parametrize(
    ("example", "needed"), [("classes", {f"unet/{WEIGHTS}"}), ("half", {VARIANT})]
)
def test_it_downloads_the_weights_of_the_network_and_no_others(stand_in, example, needed):  # noqa: F811
    held = _held_by(EXAMPLES / example)
    others = {"unet/diffusion_pytorch_model.bin", "vae/diffusion_pytorch_model.safetensors"}
    commit = stand_in.put(NAME, {**held, **dict.fromkeys(others, b"of no use")})
    found, here = read(f"hf://{NAME}@{commit}"), read(EXAMPLES / example)
    assert found.name == f"{NAME}@{commit}"
    assert found.arguments == here.arguments
    assert found.tensors.keys() == here.tensors.keys()
    assert all(np.array_equal(found.tensors[name], here.tensors[name]) for name in here.tensors)
    assert _weights_asked(stand_in) == needed


def test_it_downloads_no_weights_of_what_is_not_supported(stand_in):  # noqa: F811
    index = json.dumps({"_class_name": "StableDiffusionPipeline"}).encode()
    stand_in.put(NAME, _held_by(EXAMPLES / "classes") | {"model_index.json": index})
    with pytest.raises(ValueError, match=r"`_class_name` must be one of"):
        read(NAME)
    assert _weights_asked(stand_in) == set()
    with pytest.raises(OSError, match="Repository Not Found"):
        read("someone/none")
