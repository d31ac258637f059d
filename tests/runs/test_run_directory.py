import dataclasses

import pytest

from kdiffusion.runs import run_directory
from kdiffusion.runs.presets import PRESETS
from kdiffusion.runs.run_directory import RunDirectory, as_begun, check_resumable

DIGITS = PRESETS["digits"]


def _directory(path, config=DIGITS):
    return RunDirectory(path, config, (8, 8, 1), ("a", "b"), 40, "0" * 64, False)


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


def test_a_run_is_replaced_when_told_so_and_nothing_else(tmp_path):
    directory = _write(tmp_path)
    for name in ("checkpoints/step_00000012", "tensorboard/train", "export", "notes"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("old")
    (tmp_path / "samples.png").write_text("old")
    with pytest.raises(FileExistsError, match=r"--resume.*--overwrite"):
        run_directory.check_free(tmp_path)
    run_directory.check_free(tmp_path, overwrite=True)
    assert RunDirectory.read(tmp_path) == directory
    run_directory.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
    run_directory.check_free(tmp_path)  # it may be killed here, before the new run has written


@pytest.mark.parametrize("config", [None, '{"model_type": "bert"}'])
def test_what_no_run_wrote_is_neither_removed_nor_begun_over(tmp_path, config):
    (tmp_path / "export").mkdir()
    (tmp_path / "export/__init__.py").write_text("mine")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    for begin in (run_directory.check_free, lambda p: run_directory.check_free(p, overwrite=True)):
        with pytest.raises((FileExistsError, ValueError)):
            begin(tmp_path)


def test_a_part_that_is_a_link_is_neither_followed_nor_removed(tmp_path):
    directory = _write(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    link = directory.path / "export"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        run_directory.clear(directory.path)
    assert link.is_symlink()
    assert run_directory.holds_run(directory.path)


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": ("b", "a")},
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


@pytest.mark.parametrize(
    ("asked", "begun", "is_begun"),
    [
        ({"dtype_policy": "auto"}, {"dtype_policy": "mixed_bfloat16"}, True),
        ({"dtype_policy": "float32"}, {"dtype_policy": "mixed_bfloat16"}, False),
        (
            {"network": "parent", "dropout": 0.5, "dtype_policy": "auto"},
            {"network": "unet2d", "dropout": 0.5, "dtype_policy": "float32"},
            True,
        ),
    ],
)
def test_the_same_words_mean_what_they_meant_when_the_run_began(asked, begun, is_begun):
    """So that the same command, with --resume, goes on."""
    now, before = (
        DIGITS.replace(
            **{"run.init_from": "x"}, **{f"model.{name}": value for name, value in values.items()}
        )
        for values in (asked, begun)
    )
    assert as_begun(now, _directory("run", before)) == (before if is_begun else now)
