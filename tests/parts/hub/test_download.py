"""`hf://owner/name` wherever an exported file can be given, from a stand-in for the Hub."""

from pathlib import Path

import pytest

from kdiffusion.artifacts import load_denoiser
from kdiffusion.parts.hub.download import OPENED, downloaded

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "denoiser.onnx"
DIGITS = ROOT / "pretrained" / "digits" / "denoiser_float16.onnx"
NAME = "someone/model"


def test_a_revision_stays_what_it_was_and_a_file_can_be_named(stand_in):
    golden, digits = GOLDEN.read_bytes(), DIGITS.read_bytes()
    first = stand_in.put(NAME, {"onnx/model.onnx": golden})
    second = stand_in.put(NAME, {"onnx/model.onnx": digits, "onnx/model_fp16.onnx": golden})
    for url, file in {
        f"hf://{NAME}@{first}": GOLDEN,
        f"hf://{NAME}": DIGITS,
        f"hf://{NAME}@main": DIGITS,
        f"hf://{NAME}/onnx/model_fp16.onnx": GOLDEN,
        f"hf://{NAME}@{second}/onnx/model_fp16.onnx": GOLDEN,
    }.items():
        assert load_denoiser(url).card == load_denoiser(file).card


@pytest.mark.parametrize("file", OPENED)
def test_a_name_stands_for_the_first_file_that_is_there(stand_in, file):
    stand_in.put(NAME, {file: b"x", "z.onnx": b""})
    assert downloaded(f"hf://{NAME}").as_posix().endswith(file)


def test_offline_it_opens_what_was_downloaded_and_no_other_file(stand_in, monkeypatch):
    stand_in.put(NAME, {OPENED[0]: GOLDEN.read_bytes()})
    stand_in.put("a/b", {OPENED[0]: GOLDEN.read_bytes(), OPENED[1]: DIGITS.read_bytes()})
    load_denoiser(f"hf://{NAME}")
    load_denoiser(f"hf://a/b/{OPENED[1]}")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between huggingface_hub's attempts
    stand_in.stop()
    assert load_denoiser(f"hf://{NAME}").card == load_denoiser(GOLDEN).card
    with pytest.raises(OSError, match=r"onnx/model\.onnx|locate the file"):
        load_denoiser("hf://a/b")
