import dataclasses

import pytest
from filelock import FileLock, Timeout

from kdiffusion.runs import run_directory
from kdiffusion.runs.history import flat_settings
from kdiffusion.runs.presets import PRESETS
from kdiffusion.runs.run_directory import RESUMABLE, RunDirectory, as_begun, check_resumable
from kdiffusion.runs.sealed import read_sealed, write_sealed

DIGITS = PRESETS["digits"]


def _changed(section, **values):
    part = dataclasses.replace(getattr(DIGITS, section), **values)
    return dataclasses.replace(DIGITS, **{section: part})


def _write(path):
    directory = RunDirectory(path, DIGITS, (8, 8, 1), ("a", "b"), 40)
    directory.write()
    return directory


def test_a_run_directory_is_read_back_as_it_was_written(tmp_path):
    directory = _write(tmp_path / "run")
    assert RunDirectory.read(tmp_path / "run") == directory
    assert sorted(path.name for path in directory.path.iterdir()) == [
        "checkpoints",
        "config.json",
        "samples",
        "tensorboard",
    ]


def test_the_history_is_read_back_and_a_config_without_one_is_still_read(tmp_path):
    directory = _write(tmp_path)
    assert RunDirectory.read(tmp_path).history == ()
    history = ({"from_step": 7, "versions": {}, "changed": {"run.seed": {"was": 1, "is": 2}}},)
    dataclasses.replace(directory, history=history).write()
    assert RunDirectory.read(tmp_path).history == history
    content = read_sealed(tmp_path / "config.json")
    del content["history"]
    write_sealed(tmp_path / "config.json", content)
    assert RunDirectory.read(tmp_path) == directory


def test_a_run_from_before_there_was_a_choice_of_axis_keeps_its_own(tmp_path):
    directory = _write(tmp_path)
    assert RunDirectory.read(tmp_path).config.run.x_axis == directory.config.run.x_axis == "steps"
    content = read_sealed(tmp_path / "config.json")
    del content["config"]["run"]["x_axis"]
    write_sealed(tmp_path / "config.json", content)
    assert RunDirectory.read(tmp_path).config.run.x_axis == "epochs"


def test_a_folder_that_holds_a_run_is_refused_unless_it_is_overwritten(tmp_path):
    directory = _write(tmp_path)
    old = _write_parts(directory)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"--resume.*--overwrite"):
        run_directory.check_free(tmp_path)
    run_directory.check_free(tmp_path, overwrite=True)
    assert all(path.exists() for path in old)
    run_directory.clear(tmp_path)
    run_directory.check_free(tmp_path)  # it may be killed here, before the new run has written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]
    assert (tmp_path / "notes.txt").exists()


# What a run leaves, its killed writers included.
WRITTEN = [
    "checkpoints/step_00000012/record.json",
    "checkpoints/step_00000012/state.data-00000-of-00001",
    "checkpoints/best/step_00000006/state.index",
    "checkpoints/step_00000018.partial/state_temp/part-00000-of-00001.data",
    "tensorboard/train/events.out.tfevents.1700000000.host.1.0.v2",
    "tensorboard/events.out.tfevents.1700000000.host.1.0.v2",
    "samples/epoch_0001.png",
    "samples/.epoch_0002.png.abcd_123.partial/epoch_0002.png",
    "export/denoiser_int8.onnx",
    "export/saved_model/variables/variables.data-00000-of-00001",
    "export/sampler_saved_model/assets.extra/sampler.json",
    "export/openvino/denoiser.bin",
    "export/.denoiser.onnx.abcd_123/denoiser.onnx",
    "samples.png",
]


def _write_parts(directory, names=WRITTEN):
    paths = [directory.path / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    return paths


@pytest.mark.parametrize("name", ["export/__init__.py", "samples/mine.png", "samples.png"])
def test_no_run_is_begun_over_what_another_has_under_its_names(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"holds no run whose part it is"):
            run_directory.check_free(tmp_path, overwrite)


@pytest.mark.parametrize("text", ['{"model_type": "bert"}', "[]", "not JSON", "[" * 200_000])
def test_a_strangers_config_is_not_overwritten(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(FileExistsError, match="is not that of a run"):
        run_directory.check_free(tmp_path, overwrite=True)


@pytest.mark.parametrize("name", ["checkpoints/step_00000012", "checkpoints/best/step_00000012"])
def test_checkpoints_whose_config_is_gone_are_not_begun_over(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    with pytest.raises(FileExistsError, match=r"without the config\.json"):
        run_directory.check_free(tmp_path, overwrite=True)


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    taken = pytest.raises(BlockingIOError, match="Another process trains in")
    with run_directory.locked(tmp_path), taken, run_directory.locked(tmp_path):
        pass
    with run_directory.locked(tmp_path) as first:
        pass
    anothers = FileLock(tmp_path / "run.lock")
    with pytest.raises(Timeout):
        anothers.acquire(timeout=0)
    with run_directory.locked(tmp_path) as second:  # this process is done there
        assert not first.is_locked
    del second
    with anothers.acquire(timeout=0), taken, run_directory.locked(tmp_path):
        pass
    with pytest.raises(KeyError) as raised, run_directory.locked(tmp_path):
        raise KeyError("its traceback stays")
    with anothers.acquire(timeout=0):
        assert raised.tb is not None


@pytest.mark.parametrize(
    "change",
    [
        {"class_names": ("b", "a")},
        {"image_shape": (8, 8, 3)},
        {"num_images": 41},
        {"data_sha256": "f" * 64},
        {"mirrored": True},
    ],
)
def test_a_run_does_not_go_on_with_other_data(tmp_path, change):
    known = {"data_sha256": "0" * 64, "mirrored": False}
    directory = dataclasses.replace(_write(tmp_path), **known)
    run_directory.check_same_data(directory, directory)
    (name,) = change
    with pytest.raises(ValueError, match=f"must keep its data. Received: {name} was"):
        run_directory.check_same_data(directory, dataclasses.replace(directory, **change))


def test_a_run_that_knows_less_of_its_data_goes_on(tmp_path):
    before = _write(tmp_path)
    content = read_sealed(tmp_path / "config.json")
    del content["data_sha256"], content["mirrored"]
    write_sealed(tmp_path / "config.json", content)
    assert RunDirectory.read(tmp_path) == before
    known = {"data_sha256": "0" * 64, "mirrored": True}
    run_directory.check_same_data(before, dataclasses.replace(before, **known))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`run_dir` must be the folder of a training run"):
        RunDirectory.read(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format_version": 99}', '{"format_version": 1, "config": {}}']
)
def test_a_damaged_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config\.json is not a valid run configuration"):
        RunDirectory.read(tmp_path)


def test_a_config_that_was_changed_since_is_refused(tmp_path):
    _write(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(file.read_text().replace('"num_timesteps": 1000', '"num_timesteps": 1008'))
    with pytest.raises(ValueError, match=r"config\.json is not .* SHA-256"):
        RunDirectory.read(tmp_path)


def test_no_flipped_bit_and_no_cut_makes_another_run(tmp_path):
    directory = _write(tmp_path)
    file = tmp_path / "config.json"
    whole = file.read_bytes()
    refused = 0
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 8)
        for content in (bytes(flipped), whole[:place]):
            file.write_bytes(content)
            try:
                assert RunDirectory.read(tmp_path) == directory  # white space may change
            except ValueError:
                refused += 1
    assert refused > 1.5 * len(whole)


def test_a_run_of_another_version_is_told_so(tmp_path):
    (tmp_path / "config.json").write_text('{"format_version": 1, "config": {}}')
    with pytest.raises(ValueError, match=r"format_version must be 3, is 1: .* another version"):
        RunDirectory.read(tmp_path)


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("optimizer", {"epochs": 500}),
        ("optimizer", {"learning_rate": 1e-5, "warmup_steps": 7}),
        ("optimizer", {"learning_rate_shape": "trapezoid", "cooldown_fraction": 0.5}),
        ("optimizer", {"final_learning_rate_fraction": 0.25}),
        ("optimizer", {"gradient_accumulation": 4, "rematerialise": True}),
        ("run", {"log_every_steps": 7}),
        ("sampling", {"steps": 7}),
    ],
)
def test_what_does_not_change_the_model_may_change_on_resuming(section, values):
    check_resumable(DIGITS, _changed(section, **values))


@pytest.mark.parametrize(
    ("section", "asked", "begun"),
    [
        ("model", {"dtype_policy": "auto"}, {"dtype_policy": "mixed_bfloat16"}),
        (
            "model",
            {"network": "parent", "dropout": 0.5, "dtype_policy": "auto"},
            {
                "network": "unet2d",
                "dropout": 0.5,
                "dtype_policy": "float32",
                "channel_multipliers": (1,),
            },
        ),
    ],
)
def test_the_same_words_mean_what_they_meant_when_the_run_began(section, asked, begun):
    """So that the same command, with --resume, goes on."""
    parent = {"init_from": "x"} if asked.get("network") == "parent" else {}
    digits = dataclasses.replace(DIGITS, run=dataclasses.replace(DIGITS.run, **parent))
    now, before = (
        dataclasses.replace(
            digits, **{section: dataclasses.replace(getattr(digits, section), **values)}
        )
        for values in (asked, begun)
    )
    before = RunDirectory("run", before, (8, 8, 1), ("0",), 1)
    assert as_begun(now, before) == before.config
    check_resumable(before.config, as_begun(now, before))


@pytest.mark.parametrize(
    ("section", "values"),
    [
        ("optimizer", {"batch_size": 32}),
        ("optimizer", {"weight_decay": 0.5}),
        ("run", {"seed": 7}),
        ("run", {"x_axis": "images"}),
        ("model", {"base_channels": 16}),
        ("data", {"name": "cifar10"}),
    ],
)
def test_another_run_is_refused_on_resuming_naming_the_field(section, values):
    (name,) = values
    with pytest.raises(ValueError, match=rf"{section}\.{name} was .* is "):
        check_resumable(DIGITS, _changed(section, **values))


ANOTHER_RUN = {
    "data.name": "cifar10", "data.image_size": 16, "data.validation_fraction": 0.2,
    "data.horizontal_flip": True,
    "model.network": "unet2d", "model.network_options": ("embedding_channels=12",),
    "model.base_channels": 16, "model.channel_multipliers": (1, 1), "model.blocks_per_level": 2,
    "model.attention_resolutions": (8,), "model.attention_heads": 2, "model.dropout": 0.1,
    "model.scale_shift": True, "model.patch_size": 2, "model.dtype_policy": "mixed_float16",
    "diffusion.schedule": "linear", "diffusion.schedule_options": ("offset=0.02",),
    "diffusion.num_timesteps": 500, "diffusion.zero_terminal_snr": True,
    "diffusion.prediction_type": "x0", "diffusion.loss_weighting": "edm",
    "diffusion.timestep_sampling": "uniform", "diffusion.log_sigma_mean": 0.0,
    "diffusion.log_sigma_std": 0.5, "diffusion.learned_weighting": True,
    "diffusion.label_dropout": 0.2,
    "optimizer.name": "adamw", "optimizer.batch_size": 32, "optimizer.beta_1": 0.8,
    "optimizer.beta_2": 0.95, "optimizer.weight_decay": 0.5, "optimizer.gradient_clip_norm": None,
    "optimizer.ema_decay": 0.5,
    "run.seed": 7, "run.init_from": "elsewhere", "run.init_partial": True,
}  # fmt: skip


@pytest.mark.parametrize("name", ANOTHER_RUN)
def test_no_setting_that_makes_another_run_changes_on_resuming(name):
    section, field = name.split(".")
    with pytest.raises(ValueError, match=rf"{section}\.{field} was .* is "):
        check_resumable(DIGITS, _changed(section, **{field: ANOTHER_RUN[name]}))


def test_every_setting_is_there_or_may_change():
    rest = {name for name in flat_settings(DIGITS) if name not in ANOTHER_RUN}
    assert all({name, name.split(".")[0]} & set(RESUMABLE) for name in rest)
