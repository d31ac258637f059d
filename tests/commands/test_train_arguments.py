import contextlib
import dataclasses
import io

import pytest

from kdiffusion.commands.train import parse
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.schedules import SCHEDULES
from kdiffusion.runs.presets import PRESETS


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


def test_the_help_has_every_setting_in_little_more_than_a_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = _help("digits").splitlines()
    assert len(lines) < 140
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for section, settings in vars(PRESETS["digits"]).items():
        fields = dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ()
        for name in (field.name for field in fields):
            spelled = name.replace("_", "-")
            assert f"--{section}.{spelled} " in text or f"--{section}.[no-]{spelled} " in text
    assert "--optimizer.batch-size 128 Images per step, over all devices." in text
    assert f"--diffusion.schedule cosine Noise schedule. {{{', '.join(SCHEDULES)}}}" in text
    assert f"{{{', '.join(SAMPLERS)}}}" in text


def test_the_help_without_a_preset_lists_the_presets():
    text = _help()
    assert all(f"\n  {name} " in text for name in PRESETS)
    assert max(map(len, text.splitlines())) <= 80


def test_a_run_goes_on_with_its_own_settings_but_for_those_that_are_given(begun):
    folder = str(begun.path)
    spellings = [
        ["--resume", folder],
        [f"--resume={folder}"],
        ["cifar10_large", "--resume", folder],
        ["--run_dir", folder, "--resume"],
    ]
    for arguments in spellings:
        command = parse(arguments)
        assert command.config == begun.config
        assert (command.folder, command.resume) == (folder, True)
    changed = parse([*spellings[0], "--optimizer.epochs", "9"]).config
    assert changed == begun.config.replace(**{"optimizer.epochs": 9})


def test_a_run_that_is_not_there_is_begun_only_where_its_preset_is_named(tmp_path, begun):
    folder = str(tmp_path / "nothing")
    with pytest.raises(ValueError, match="PRESET --resume"):
        parse(["--resume", folder])
    assert parse(["digits", "--resume", folder]).config == PRESETS["digits"]
    with pytest.raises(ValueError, match="a run of the preset cifar10"):
        parse(["digits", "--resume", str(begun.path)])
