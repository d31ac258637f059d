"""Every command that writes, told to write where something of another's is: that stays.

The commands are called in this process, past `reporting_errors`.
"""

import importlib
import re
import shutil
import stat
from pathlib import Path

import numpy as np
import onnx
import pytest
import tyro
from onnx import TensorProto, helper
from PIL import Image

from kdiffusion import commands
from kdiffusion.artifacts.onnx_loader import CARD_KEY
from kdiffusion.commands import train
from kdiffusion.diffusion.card import DenoiserCard

ROOT = Path(__file__).parent.parent.parent
CARD = DenoiserCard(
    image_shape=(4, 4, 1),
    class_names=("cat", "dog"),
    null_label=2,
    prediction_type="epsilon",
    alphas_cumprod=(0.9, 0.5, 0.1),
    dataset="digits",
    preset="toy",
    images_seen=0,
    ema_decay=0.0,
    sampler="ddim",
    steps=2,
    guidance_strength=0.0,
)
DENOISER, SAMPLER = ("denoiser.onnx", "saved_model"), ("sampler.onnx", "sampler_saved_model")
EVALUATION = ("evaluation.json", "report.html")
# (command, arguments, {option of where to write: what is written below it, if it's a folder})
COMMANDS = [
    ("export", ["RUN"], {"--out": DENOISER}),
    ("export_sampler", ["RUN"], {"--out": SAMPLER}),
    ("sample", ["ARTIFACT"], {"--out": (), "--npz": ()}),
    ("interpolate", ["ARTIFACT", "--labels", "0"], {"--out": (), "--npz": ()}),
    ("image_to_image", ["ARTIFACT", "IMAGE", "--labels", "0"], {"--out": (), "--npz": ()}),
    ("inpaint", ["ARTIFACT", "IMAGE", "IMAGE", "--labels", "0"], {"--out": (), "--npz": ()}),
    ("film", ["ARTIFACT"], {"--out": (), "--strip": ()}),
    ("likelihood", ["ARTIFACT"], {"--out": ()}),
    ("evaluate", ["ARTIFACT"], {"--out": EVALUATION, "--save-statistics": ()}),
    ("web", ["ARTIFACT"], {"--out": ()}),
    ("hub", ["ARTIFACT"], {"--out": ()}),
    ("pack", ["digits"], {"--out": ()}),
    ("import", ["RUN"], {"--out": ("denoiser.safetensors",)}),
    ("export_diffusers", ["RUN"], {"--out": ("diffusers",)}),
]
PLACES = [
    (module, arguments, option, below)
    for module, arguments, options in COMMANDS
    for option, names in options.items()
    for below in names or ("",)
]


def _file(path):
    path.write_text("mine")


def _checkout(path):
    path.mkdir()
    (path / "index.html").write_text("mine")
    (path / ".git").mkdir()
    (path / ".git" / "HEAD").write_text("mine")


def _link_to_a_file(path):
    _file(path.with_name("aim"))
    path.symlink_to("aim")


WRONG = [_checkout, _link_to_a_file]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What the commands read, by the words that stand for it in `COMMANDS`."""
    folder = tmp_path_factory.mktemp("inputs")
    types = {"noisy_image": (TensorProto.FLOAT, (4, 4, 1)), "timestep": (TensorProto.INT32, ())}
    types["label"] = types["timestep"]
    values = [helper.make_tensor_value_info(n, t, ["b", *s]) for n, (t, s) in types.items()]
    output = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["b", 4, 4, 1])
    node = helper.make_node("Identity", ["noisy_image"], ["prediction"])
    graph = helper.make_graph([node], "g", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: CARD.to_json()})
    onnx.save(model, folder / "denoiser.onnx")
    Image.fromarray(np.full((4, 4), 255, np.uint8)).save(folder / "image.png")
    return {
        "RUN": folder / "no run", "ARTIFACT": folder / "denoiser.onnx",
        "IMAGE": folder / "image.png",
    }  # fmt: skip


def _state(folder):
    """Every path below a folder, its kind and what it holds; links are not followed."""
    state = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        state[str(path)] = stat.S_IFMT(mode), path.read_bytes() if stat.S_ISREG(mode) else b""
    return state


def test_every_command_is_tried():
    """But train, whose target is a run's folder: below. `sample_many` replaces nothing."""
    others = {"train", "sample_many", "models"}
    assert {name for name, _, _ in COMMANDS} == set(commands.COMMANDS) - others


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(("module", "arguments", "option", "below"), PLACES)
def test_what_is_not_ours_stays(
    tmp_path, monkeypatch, inputs, module, arguments, option, below, wrong
):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out.onnx"
    target = out / below if below else out
    target.parent.mkdir(exist_ok=True)
    wrong(target)
    before = _state(tmp_path)
    arguments = [str(inputs.get(word, word)) for word in arguments]
    for overwrite in ([], ["--overwrite"]):
        with pytest.raises(FileExistsError, match=re.escape(str(target))):
            tyro.cli(
                importlib.import_module(commands.COMMANDS[module][0]).main,
                args=[*arguments, option, str(out), *overwrite],
                config=(tyro.conf.FlagCreatePairsOff,),
            )
        assert _state(tmp_path) == before


@pytest.mark.parametrize("wrong", [_file, _link_to_a_file])
def test_no_run_is_begun_in_what_is_no_folder(tmp_path, monkeypatch, wrong):
    monkeypatch.chdir(tmp_path)
    wrong(tmp_path / "run")
    before = _state(tmp_path)
    for flag in ("--overwrite", "--resume"):
        with pytest.raises(FileExistsError, match="run is not a folder"):
            train.run(["digits", "--run-dir", str(tmp_path / "run"), flag])
    assert _state(tmp_path) == before


def test_a_run_in_a_checkout_does_not_remove_its_source(tmp_path):
    shutil.copytree(ROOT / "export", tmp_path / "export")
    command = ["digits", "--run-dir", str(tmp_path), "--overwrite"]
    before = _state(tmp_path)
    with pytest.raises(FileExistsError, match="export is there, and"):
        train.run(command)
    assert _state(tmp_path) == before
