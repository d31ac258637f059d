"""What a run prints: a line an epoch, and what it is about to do."""

import pytest

from kdiffusion.commands.train import parse
from kdiffusion.data import load_dataset
from kdiffusion.runs import PRESETS
from kdiffusion.runs.progress import EpochLines
from kdiffusion.runs.step_count import StepCount
from kdiffusion.runs.strategy import one_device
from kdiffusion.runs.summary import found_lines, notes, settings_lines


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(0.01)


@pytest.fixture(scope="module")
def data():
    return load_dataset("digits")


@pytest.fixture
def clock(monkeypatch):
    """A list of one number: the time, which stands still unless it is changed."""
    now = [0.0]
    monkeypatch.setattr("kdiffusion.runs.progress.time.perf_counter", lambda: now[0])
    return now


def _with_epochs(epochs):
    return PRESETS["digits"].replace(**{"optimizer.epochs": epochs})


def _lines(model, step, epochs=3):
    """The callback of a run of ten steps an epoch that is at a step."""
    config = _with_epochs(epochs)
    lines = EpochLines(config, StepCount(step, 10, config.run))
    lines.set_model(model)
    return lines


def _train(lines, clock, seconds):
    """Steps of some seconds each."""
    for each in seconds:
        clock[0] += each
        lines._count.on_train_batch_end(0)
        lines.on_train_batch_end(0)


def test_an_epoch_that_was_cut_short_says_where(model, capsys, clock):
    lines = _lines(model, step=10)
    lines.on_epoch_begin(1)
    _train(lines, clock, [1, 1, 1])
    lines.on_epoch_end(1, {"loss": 0.5, "val_loss": 0.6})
    tracing, said = capsys.readouterr().out.splitlines()
    assert tracing == "tracing and compiling the first step ..."
    assert said.startswith("epoch 2/3  step 3/10  loss 0.5000  validation 0.6000  ")


def test_the_time_left_is_what_the_rest_of_the_run_takes_at_the_speed_so_far(model, capsys, clock):
    lines = _lines(model, step=8)
    lines.on_epoch_begin(0)
    _train(lines, clock, [60, 1])  # the first step compiles
    clock[0] += 9  # validation
    lines.on_epoch_end(0, {})
    assert capsys.readouterr().out.endswith("  03:20 left\n")  # 20 steps


@pytest.mark.parametrize("name", PRESETS)
def test_a_summary_says_what_the_settings_say_and_fits(name):
    lines = settings_lines(PRESETS[name], f"runs/{name}")
    text = "\n".join(lines)
    assert PRESETS[name].data.name in text
    assert f"runs/{name}" in text
    assert f"{PRESETS[name].optimizer.epochs:,} epochs" in text
    assert max(map(len, lines)) <= 80


def test_a_summary_names_the_network_and_does_not_describe_one_that_is_the_parents():
    def line(*settings):
        return "\n".join(settings_lines(parse(["digits", *settings]).config, "runs/a"))

    assert "unet, 32 64 channels" in line()
    options = ("widths=[8,24]", "norm_groups=4")
    other = line("--model.network", "unet2d", "--model.network-options", *options)
    assert "unet2d, 8 24 channels" in other
    parents = line("--model.network", "parent", "--run.init-from", "imported")
    assert "network     that of imported\n" in parents
    assert "channels" not in parents


def test_the_rest_is_said_when_it_is_known(model, data):
    text = "\n".join(found_lines(model, data, _with_epochs(3), one_device(), 36))
    assert "1,617 of 8x8x1, 180 more held out" in text
    assert f"{model.network.count_params():,}" in text
    assert "36: 12 per epoch" in text


def test_settings_that_hardly_serve_a_run_are_noted_and_no_preset_has_one():
    heights = {"digits": 8, "cifar10": 32, "stl10": 64}
    for config in PRESETS.values():
        assert not list(notes(config, heights[config.data.name], total_steps=100_000))
    changes = {
        "optimizer.warmup_steps": 60,
        "objective.label_dropout": 0,
        "model.attention_resolutions": (16, 4),
    }
    said = list(notes(PRESETS["digits"].replace(**changes), 8, total_steps=100))
    assert [note.split()[0] for note in said] == list(changes)
