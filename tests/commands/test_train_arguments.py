from pathlib import Path

import pytest

from kdiffusion.commands.train import announce
from kdiffusion.commands.train_arguments import parse
from kdiffusion.runs.presets import PRESETS
from kdiffusion.runs.run_directory import RunDirectory


def test_without_a_preset_it_is_the_digits():
    assert parse([]) == parse(["digits"])
    assert parse([]).config == PRESETS["digits"]
    assert parse(["--resume"]) == parse(["digits", "--resume"])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_command_and_every_field_an_option(preset):
    command = parse([preset, "--optimizer.epochs", "3", "--run-dir", "somewhere", "--resume"])
    assert command.config.optimizer.epochs == 3
    assert command.config.preset == preset
    assert (command.run_dir, command.resume, command.overwrite) == (Path("somewhere"), True, False)


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--epochs", "--optimizer.epochs"),
        ("--lr", "--optimizer.learning-rate"),
        ("--optimizer.lr", "--optimizer.learning-rate"),
        ("--optimizer.batchsize", "--optimizer.batch-size"),
        ("--sampler", "--sampling.sampler"),
    ],
)
def test_an_option_that_is_not_there_is_answered_in_a_line_by_the_one_that_is_meant(
    option, meant, capsys
):
    with pytest.raises(SystemExit) as ended:
        parse(["digits", option, "5"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: there is no option `{option}`. Did you mean `{meant}`")
    assert said.count("\n") == 1


def test_every_option_is_known_by_both_spellings():
    arguments = ["digits", "--optimizer.batch_size=3", "--no-trial-export", "--run_dir", "there"]
    command = parse(
        [*arguments, "--diffusion.zero-terminal-snr", "--diffusion.prediction-type", "v"]
    )
    assert command.config.optimizer.batch_size == 3
    assert command.config.diffusion.zero_terminal_snr
    assert (command.run_dir, command.trial_export) == (Path("there"), False)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("digits", "digits"),
        ("./digits", "./digits"),
        ("./runs/a/", "runs/a"),
        ("hf://a/b", "hf://a/b"),
    ],
)
def test_a_path_to_start_from_is_not_taken_for_a_released_model(given, meant):
    assert parse(["digits", "--run.init-from", given]).config.run.init_from == meant


def test_a_preset_that_is_nearly_spelt_is_named(capsys):
    with pytest.raises(SystemExit):
        parse(["cifar10_smal"])
    assert "Did you mean `cifar10_small`?" in capsys.readouterr().err


def test_a_run_goes_on_with_its_own_settings(begun):
    folder = str(begun.path)
    spellings = [
        ["--resume", folder],
        [f"--resume={folder}"],
        ["cifar10", "--resume", folder],
        ["cifar10", "--run-dir", folder, "--resume"],
        ["--resume", "--run_dir", folder],
        ["--run-dir", f"{folder}/.", "--resume", folder],
    ]
    for arguments in spellings:
        command = parse(arguments)
        assert command.config == begun.config
        assert (command.folder, command.resume) == (begun.path, True)


def test_a_run_goes_on_with_what_is_given_in_place_of_its_settings(begun):
    config = parse(["--resume", str(begun.path), "--optimizer.epochs", "9"]).config
    assert config.optimizer.epochs == 9
    assert config.diffusion == begun.config.diffusion


@pytest.mark.parametrize(
    ("own", "same", "other", "said"),
    [
        ("--run.x-axis images", "", "--run.x-axis steps", r"run\.x_axis was 'images', is 'steps'"),
        (
            "--run.init-from x",
            "--model.network parent",
            "--model.base-channels 128",
            r"model\.base_channels was 64, is 128",
        ),
    ],
)
def test_no_setting_that_is_given_and_differs_is_passed_over(own, same, other, said, tmp_path):
    config = parse(["digits", *own.split(), "--model.base-channels", "64"]).config
    RunDirectory(tmp_path, config, (8, 8, 1), ("0", "1"), 5).write()
    goes_on = ["--resume", str(tmp_path), *own.split(), *same.split()]
    announce(parse(goes_on))
    with pytest.raises(ValueError, match=f"Received: {said}$"):
        announce(parse([*goes_on, *other.split()]))


def test_a_run_that_is_to_go_on_and_is_not_there_is_refused_unless_its_preset_is_named(tmp_path):
    folder = str(tmp_path / "nothing")
    with pytest.raises(ValueError, match="holds no run to go on with"):
        parse(["--resume", folder])
    assert parse(["digits", "--resume", folder]).config == PRESETS["digits"]


@pytest.mark.parametrize(
    "arguments",
    [["--run-dir", "runs/a", "--resume", "runs/b"], ["--resume=runs/b", "--run_dir=runs/a"]],
)
def test_two_folders_of_a_run_are_refused(arguments):
    with pytest.raises(ValueError, match=r"one folder.*--run-dir runs/a, --resume runs/b"):
        parse(["digits", *arguments])


def test_a_run_of_another_preset_does_not_go_on(begun):
    with pytest.raises(ValueError, match="holds a run of the preset cifar10"):
        parse(["digits", "--resume", str(begun.path)])
