import dataclasses
import os

import pytest

from kdiffusion.runs import run_directory
from kdiffusion.runs.presets import PRESETS
from kdiffusion.runs.run_directory import RunDirectory, check_resumable

DIGITS = PRESETS["digits"]


def _directory(path, config=DIGITS):
    names = tuple("0123456789")
    return RunDirectory(path, config, (8, 8, 1), names, 40, "0" * 64, False)


def _write(path):
    directory = _directory(path)
    directory.write()
    return directory


def test_a_run_directory_is_read_back_as_it_was_written(tmp_path):
    parent = {"name": "digits", "sha256": "f" * 64}
    directory = dataclasses.replace(_directory(tmp_path / "run"), parent=parent)
    directory.write()
    assert RunDirectory.read(tmp_path / "run") == directory
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        RunDirectory.read(tmp_path)


def _hold(path, names):
    for name in names:
        (path / name).mkdir(parents=True, exist_ok=True)
        (path / name / "file").write_text("old")


@pytest.mark.parametrize(
    ("run", "names", "given", "outcome"),
    [
        (False, (), (), "begins"),
        (False, ("notes",), ("resume",), "begins"),
        (False, ("export",), ("overwrite",), "holds export"),
        (False, ("checkpoints",), ("resume",), "holds checkpoints"),
        (True, ("checkpoints/step_00000012",), (), "holds checkpoints, config.json"),
        (True, ("checkpoints/step_00000012",), ("resume",), "resumes"),
        (True, ("checkpoints/best/step_00000012",), ("resume",), "resumes"),
        (True, ("checkpoints/step_00000012",), ("overwrite",), "begins"),
        (True, ("tensorboard",), ("resume",), "begins"),  # killed before its first checkpoint
        (True, ("samples",), ("resume",), "holds samples"),
        (True, ("export",), ("resume",), "holds export"),
        (True, ("samples",), ("overwrite",), "begins"),
    ],
)
def test_a_folder_is_resumed_begun_or_refused_by_what_it_holds(
    tmp_path, run, names, given, outcome
):
    directory = _write(tmp_path) if run else None
    _hold(tmp_path, names)
    before = sorted(tmp_path.rglob("*"))
    options = {name: name in given for name in ("resume", "overwrite")}
    if outcome in ("begins", "resumes"):
        found = run_directory.find(tmp_path, **options)
        assert found == (directory if outcome == "resumes" else None)
    else:
        with pytest.raises(FileExistsError, match=outcome):
            run_directory.find(tmp_path, **options)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_whose_checkpoints_were_removed_does_not_begin_again(tmp_path):
    _write(tmp_path)
    (tmp_path / "checkpoints").rmdir()
    with pytest.raises(FileExistsError, match="run that has checkpoints"):
        run_directory.find(tmp_path, resume=True, overwrite=False)


def test_what_is_no_configuration_of_a_run_is_not_replaced(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="not the configuration of a run"):
        run_directory.find(tmp_path, resume=False, overwrite=True)


def test_a_run_is_removed_and_nothing_else(tmp_path):
    _write(tmp_path / "run")
    _hold(tmp_path, ("elsewhere",))
    _hold(tmp_path / "run", ("checkpoints/step_00000012", "notes"))
    (tmp_path / "run/export").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "run/samples.png").write_text("old")
    run_directory.clear(tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes"]
    assert (tmp_path / "elsewhere/file").exists()


def test_a_run_that_cannot_be_removed_stays_whole(tmp_path, monkeypatch):
    _write(tmp_path)
    _hold(tmp_path, ("checkpoints", "export"))
    before, rename = sorted(tmp_path.rglob("*")), os.rename

    def is_mounted(source, target):
        if source == tmp_path / "export":
            raise OSError("Device or resource busy")
        rename(source, target)

    monkeypatch.setattr(os, "rename", is_mounted)
    with pytest.raises(OSError, match="busy"):
        run_directory.clear(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": tuple("1023456789")},
        {"image_shape": (8, 8, 3)},
        {"data_sha256": "f" * 64},
        {"mirrored": True},
        {"config": DIGITS.replace(**{"model.base_channels": 16})},
        {"config": DIGITS.replace(**{"diffusion.prediction_type": "x0"})},
        {"config": DIGITS.replace(**{"optimizer.batch_size": 32})},
        {"config": DIGITS.replace(**{"run.seed": 7})},
    ],
)
def test_a_run_does_not_go_on_with_other_data_or_as_another_network(tmp_path, change):
    directory = _directory(tmp_path)
    other = dataclasses.replace(directory, **change)
    name = next(iter(change)).replace("config", r"\w+\.\w+")
    with pytest.raises(ValueError, match=f"{name} was .*, is "):
        check_resumable(directory, other)
    options = {"epochs": 500, "learning_rate": 1e-5, "warmup_steps": 7}
    longer = DIGITS.replace(**{f"optimizer.{name}": value for name, value in options.items()})
    check_resumable(directory, dataclasses.replace(directory, config=longer))


@pytest.mark.parametrize("split", [None, {"seed": 5, "validation_fraction": 0.25}])
def test_the_card_says_how_the_images_were_split(tmp_path, tiny_model, split):
    """Packed data were split when they were packed, whatever the run's settings say."""
    card = dataclasses.replace(_directory(tmp_path), split=split).card(tiny_model())
    by_settings = {"seed": 0, "validation_fraction": 0.1}
    assert dataclasses.asdict(card.data_split) == {**(split or by_settings), "sha256": "0" * 64}
