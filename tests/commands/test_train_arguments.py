import contextlib
import dataclasses
import io

import pytest

from kdiffusion.commands.train import parse
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.schedules import SCHEDULES
from kdiffusion.runs.presets import PRESET_DOCS, PRESETS


def test_without_a_preset_it_is_the_digits():
    assert parse([]) == parse(["digits"])
    assert parse([]).config == PRESETS["digits"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_a_command_and_every_field_an_option(preset):
    options = ["--optimizer.epochs", "3", "--data.image_size=9", "--run-dir", "somewhere"]
    command = parse([preset, *options, "--resume"])
    assert command.config == PRESETS[preset].replace(
        **{"optimizer.epochs": 3, "data.image_size": 9}
    )
    assert (command.run_dir, command.resume, command.overwrite) == ("somewhere", True, False)


def _help(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as said, pytest.raises(SystemExit) as ended:
        parse([*arguments, "--help"], "kdiffusion train")
    assert ended.value.code == 0
    return said.getvalue()


def test_the_help_has_every_setting_and_the_names_that_it_accepts():
    text = _help("digits")
    assert PRESET_DOCS["digits"].splitlines()[0] in text
    for section, settings in vars(PRESETS["digits"]).items():
        fields = dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ()
        for name in (field.name for field in fields if field.name != "network_options"):
            assert f"--{section}.{name.replace('_', '-')}" in text
    assert f"--diffusion.schedule {{{','.join(SCHEDULES)}}}" in text
    assert ",".join(SAMPLERS) in text
    assert "--preset" not in text  # which only the program sets, as it does this:
    assert "--model.network-options" not in text
    assert "--objective.timesteps" not in _help("digits_few_steps")


def test_the_help_without_a_preset_lists_the_presets():
    text = _help()
    assert all(f"\n  {name} " in text for name in PRESETS)
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_goes_on_with_its_own_settings_but_for_those_that_are_given(begun):
    resumed = ["--run-dir", str(begun.path), "--resume"]
    for arguments in (resumed, ["cifar10_large", *resumed]):
        command = parse(arguments)
        assert command.config == begun.config
        assert (command.folder, command.resume) == (str(begun.path), True)
    changed = parse([*resumed, "--optimizer.epochs", "9"]).config
    assert changed == begun.config.replace(**{"optimizer.epochs": 9})


def test_a_run_that_is_not_there_is_begun_and_one_of_another_preset_refused(tmp_path, begun):
    command = parse(["cifar10_paper", "--run-dir", str(tmp_path / "nothing"), "--resume"])
    assert command.config == PRESETS["cifar10_paper"]
    with pytest.raises(ValueError, match="a run of the preset cifar10"):
        parse(["digits", "--run-dir", str(begun.path), "--resume"])
