"""The lines of a run, by `fit` of a model of a few weights on two batches an epoch."""

import re

import numpy as np
import pytest

from kdiffusion.commands.train_arguments import parse
from kdiffusion.data import load_dataset
from kdiffusion.runs import PRESETS
from kdiffusion.runs.progress import SHOWN, EpochLines
from kdiffusion.runs.strategy import make_strategy
from kdiffusion.runs.summary import found_lines, notes, settings_lines


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny_model(0.01)


@pytest.fixture(scope="module")
def data():
    return load_dataset("digits")


def _line(model, epoch, logs, epochs=3, steps_per_epoch=2):
    """The line that ends an epoch, as the callback writes it."""
    lines = EpochLines(_with_epochs(epochs), steps_per_epoch)
    lines.set_model(model)
    model.step.assign(epoch * steps_per_epoch - 2)
    lines.on_train_begin()
    lines.on_epoch_begin(epoch - 1)
    for _ in range(2):
        model.step.assign_add(1)
        lines.on_train_batch_end(0, logs)
    lines.on_epoch_end(epoch - 1, logs)
    lines.close()


def _with_epochs(epochs):
    return PRESETS["digits"].replace(**{"optimizer.epochs": epochs})


def test_an_epoch_is_one_line_and_says_how_long_the_run_will_take(model, capsys):
    _line(model, 1, {"loss": 0.5, "val_loss": np.array([0.25]), "loss_t0_249": 0.7})
    first, said = capsys.readouterr().out.splitlines()
    assert first == "tracing and compiling the first step ..."
    shown = r"epoch 1/3  loss 0\.5000  validation 0\.2500  \d+ images/s  \d+ s left"
    assert re.fullmatch(shown, said)


def test_an_epoch_that_was_cut_short_says_where(model, capsys):
    lines = EpochLines(_with_epochs(3), 4)
    lines.set_model(model)
    model.step.assign(4)
    lines.on_train_begin()
    lines.on_epoch_begin(1)
    for _ in range(3):
        model.step.assign_add(1)
        lines.on_train_batch_end(0, {"loss": 0.5})
    lines.on_epoch_end(1, {"loss": 0.5})
    assert "epoch 2/3  step 3/4  loss 0.5000" in capsys.readouterr().out


def test_a_log_file_gets_a_line_each_half_minute_of_a_long_epoch(model, capsys, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("kdiffusion.runs.progress.time.perf_counter", lambda: clock[0])
    lines = EpochLines(_with_epochs(3), 10)
    lines.set_model(model)
    model.step.assign(0)
    lines.on_epoch_begin(0)
    for _ in range(9):
        clock[0] += 11
        model.step.assign_add(1)
        lines.on_train_batch_end(0, {"loss": 0.5})
    _, *said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[1] for line in said] == ["step 4/10", "step 7/10"]
    assert all("loss 0.5000" in line and line.endswith("left") for line in said)


def test_the_last_epoch_has_no_time_left(model, capsys):
    _line(model, 3, {"loss": 0.5})
    assert re.search(r"epoch 3/3  loss 0\.5000  \d+ images/s$", capsys.readouterr().out)


def test_a_run_that_goes_on_at_an_epochs_end_foresees_steps_and_validations_apart(
    model, monkeypatch
):
    clock, foreseen = [0.0], []
    monkeypatch.setattr("kdiffusion.runs.progress.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(
        "kdiffusion.runs.progress.duration", lambda seconds: foreseen.append(seconds) or "9 s"
    )
    lines = EpochLines(_with_epochs(3), 10)
    lines.set_model(model)
    model.step.assign(8)
    for epoch, steps in enumerate([(60, 1), 10 * (1,), 10 * (1,)]):  # the first step compiles
        lines.on_epoch_begin(epoch)
        for seconds in steps:
            clock[0] += seconds
            model.step.assign_add(1)
            lines.on_train_batch_end(0, {})
        clock[0] += 100  # validation
        lines.on_epoch_end(epoch, {})
    assert foreseen == [20 * 1 + 2 * 100, 10 * 1 + 100]


def test_evaluations_are_part_of_the_time_that_is_left(model, monkeypatch):
    class Evaluation:
        seconds_spent = 0.0

        def seconds_left(self, epoch, seconds_per_image):
            return 1000 * sum(1 for each in (2, 3) if each >= epoch)

    clock, foreseen, at_ends = [0.0], [], []
    monkeypatch.setattr("kdiffusion.runs.progress.time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(
        "kdiffusion.runs.progress.duration", lambda seconds: foreseen.append(seconds) or "9 s"
    )
    lines = EpochLines(_with_epochs(3), 10)
    lines.evaluation = Evaluation()
    lines.set_model(model)
    model.step.assign(0)
    for epoch in range(2):
        lines.on_epoch_begin(epoch)
        for _ in range(10):
            clock[0] += 1
            model.step.assign_add(1)
            lines.on_train_batch_end(0, {})
        clock[0] += 100  # validation
        lines.on_epoch_end(epoch, {})
        at_ends.append(foreseen[-1])
        clock[0] += 1000  # an evaluation, whose time is not each epoch's
        lines.evaluation.seconds_spent += 1000
    assert at_ends == [20 + 2 * 100 + 2000, 10 + 100 + 2000]


def test_the_longest_line_fits_an_old_terminal(model, capsys, monkeypatch):
    monkeypatch.setattr("kdiffusion.runs.progress.duration", lambda seconds: "99.9 h")
    monkeypatch.setattr(EpochLines, "_speed", lambda self: "  12345 images/s")
    _line(model, 1, dict.fromkeys(SHOWN, 12.3456), epochs=9999)
    assert len(capsys.readouterr().out.splitlines()[-1]) <= 80


def test_fit_writes_these_lines_and_no_others(tiny_model, data, capsys):
    from kdiffusion.data import training_batches, validation_batches

    model = tiny_model(0.01)
    model.fit(
        training_batches(data, 256, seed=0), steps_per_epoch=2, epochs=3, verbose=0,
        validation_data=validation_batches(data, 256), shuffle=False,
        callbacks=[EpochLines(_with_epochs(3), 2)],
    )  # fmt: skip
    tracing, *lines = capsys.readouterr().out.splitlines()
    assert tracing.endswith(" ...")
    starts = [line.split("  ")[0] for line in lines]
    assert starts == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all(len(line) <= 80 and "validation" in line for line in lines)


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
    assert "unet2d, 32 64 channels" in line("--model.network", "unet2d")
    options = ("widths=[8,24]", "norm_groups=4")
    other = line("--model.network", "unet2d", "--model.network-options", *options)
    assert "unet2d, 8 24 channels" in other
    parents = line("--model.network", "parent", "--run.init-from", "imported")
    assert "network     that of imported\n" in parents
    assert "channels" not in parents


def test_the_rest_is_said_when_it_is_known(model, data):
    text = "\n".join(found_lines(model, data, _with_epochs(3), make_strategy("one_device")))
    assert "1,617 of 8x8x1, 180 more held out" in text
    assert f"{model.network.count_params():,}" in text
    assert "36: 12 per epoch" in text


def test_settings_that_hardly_serve_a_run_are_noted_and_no_preset_has_one():
    heights = {"digits": 8, "cifar10": 32, "stl10": 64}
    for config in PRESETS.values():
        assert not list(notes(config, heights[config.data.name], total_steps=100_000))
    changes = {
        "optimizer.warmup_steps": 60,
        "diffusion.label_dropout": 0,
        "model.attention_resolutions": (16, 4),
    }
    said = list(notes(PRESETS["digits"].replace(**changes), 8, total_steps=100))
    assert [note.split()[0] for note in said] == list(changes)
