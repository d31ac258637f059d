import dataclasses
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from kdiffusion.__main__ import main
from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands import train
from kdiffusion.images import to_uint8

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["digits", "--optimizer.epochs", "0"], 2),
        (["mnist"], 1),
        (["cifar10_few_steps", "--sampling.steps", "2"], 1),
        (["digits_few_steps", "--run.init-from", "None"], 1),
    ],
)
def test_a_mistake_is_told_before_tensorflow_and_leaves_nothing(
    tmp_path, monkeypatch, capsys, arguments, status
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(SystemExit) as ended:
        main(["train", *arguments])
    told = capsys.readouterr().err or ended.value.code
    assert arguments[-1].strip("-") in told or arguments[-2].strip("-") in told
    assert (ended.value.code == 2) == (status == 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("losses", "images", "named"),
    [
        ({"step_00000001": 0.5, "best/step_00000001": 0.5}, 2000, set()),
        ({"step_00000002": 0.6, "best/step_00000001": 0.5}, 2000, {"--best"}),
        ({"step_00000002": 0.5, "step_00000001": 0.6}, 60, {"copies"}),
    ],
)
def test_the_end_names_what_validation_and_few_images_ask_for(begun, losses, images, named):
    for name, loss in losses.items():
        (begun.checkpoints / name).mkdir(parents=True)
        record = json.dumps({"logs": {"val_loss": loss}})
        (begun.checkpoints / name / "record.json").write_text(record)
    lines = train.closing_lines(dataclasses.replace(begun, num_images=images))
    assert {word for word in ("--best", "copies") if word in " ".join(lines)} == named


EPOCHS = 8  # of the 40 that the preset has


@pytest.fixture(scope="module")
def quickstart(run_python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    shorter = ["--optimizer.epochs", EPOCHS, "--run.sample-every-epochs", EPOCHS]
    evaluated = ["--evaluation.every-epochs", EPOCHS, "--evaluation.images", 100]
    options = ["--run-dir", folder / "run", *shorter, *evaluated]
    done = run_python(ROOT / "train.py", *options, cwd=folder)
    return folder / "run", done


@pytest.mark.slow
def test_the_quickstart_says_where_each_thing_is_a_line_an_epoch_and_nothing_else(quickstart):
    run, done = quickstart
    for path in ("checkpoints", "export/denoiser.onnx", "export/saved_model", "samples.png"):
        assert (run / path).exists()
        assert str(run / path) in done.stdout
    for made in ("samples/*.png", "tensorboard/evaluation/*"):
        assert list(run.glob(made))
    lines = done.stdout.splitlines()
    epochs = [line for line in lines if re.match("epoch +[0-9]+/[0-9]+  loss", line)]
    assert len(epochs) == EPOCHS
    assert max(map(len, epochs)) <= 80
    sampling = done.stderr.replace("\r", "\n").split("\n")
    assert [line for line in sampling if line and not line.startswith("Sampling: ")] == []


@pytest.mark.slow
def test_a_run_with_nothing_left_to_train_stays_as_it_was_exported(quickstart, capsys):
    """As with `export --best`."""
    run, _ = quickstart
    before = {path: path.stat().st_mtime_ns for path in (run / "export").rglob("*")}
    train.run(["--run-dir", str(run), "--resume"])
    assert before == {path: path.stat().st_mtime_ns for path in (run / "export").rglob("*")}


@pytest.mark.slow
def test_the_quickstart_draws_the_digits_that_were_asked_for(quickstart):
    """An SVM fitted on the real digits reads at least 90 % of 200 drawn ones as their label."""
    from kdiffusion.diffusion.sampling import sample

    run, _ = quickstart
    denoiser = load_denoiser(run / "export/denoiser.onnx")
    labels = np.repeat(np.arange(10), 20)
    images = to_uint8(sample(denoiser, labels, 1000 + np.arange(200)))
    digits = load_digits()
    reader = SVC(gamma=0.001, C=10.0).fit(digits.data, digits.target)
    read = reader.predict(images.reshape(200, 64) * (16.0 / 255.0))
    print(f"read as asked: {np.mean(read == labels):.1%}")
    assert np.mean(read == labels) >= 0.9
    # And not one image for each label: as varied as the real ones, within a factor of two.
    pairs = zip(images.reshape(10, 20, 64), range(10), strict=True)
    drawn = [np.std(each * (16.0 / 255.0), axis=0).mean() for each, _ in pairs]
    real = [np.std(digits.data[digits.target == label], axis=0).mean() for label in range(10)]
    assert np.mean(drawn) > 0.5 * np.mean(real)
