"""The command on real digits: from an exported file, from folders, and stopped and started."""

import json
import os

import numpy as np
import pytest

from kdiffusion.commands.inputs import Sampling
from kdiffusion.data import load_dataset
from kdiffusion.parts.evaluation.command import main
from kdiffusion.parts.evaluation.features import Reading
from tests.data import made_up

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def write_folder(tmp_path):
    """Writes a folder with a sub-folder for each class, of so many digits of each."""

    def write(name, counts, images="images", labels="labels"):
        digits = load_dataset("digits")
        pixels, of_each = getattr(digits, images), getattr(digits, labels)
        files = {
            f"{label}/{index}.png": pixels[index, ..., 0]
            for label, count in counts.items()
            for index in np.flatnonzero(of_each == label)[:count]
        }
        return str(made_up.write_folder(tmp_path / name, files))

    return write


QUICK = {
    "measures": ("kernel", "copies"),
    "network_images": 5,
    "sampling": Sampling(steps=2, sampler="ddim", guidance_interval=(0.5, 20.0)),
}


def _figures(out):
    return json.loads((out / "evaluation.json").read_text(encoding="utf-8"))


def test_it_samples_measures_and_writes_and_goes_on_where_it_stopped(
    digits_file, tmp_path, capsys, monkeypatch
):
    file, out = digits_file(), tmp_path / "out"
    main(file, images=110, seed=7, out=out, **QUICK)
    assert "Kernel distance" in capsys.readouterr().out
    assert sorted(os.listdir(out)) == ["evaluation.json", "report.html", "samples"]
    figures = _figures(out)
    assert (figures["images"], figures["data"], figures["copies"]) == (110, "digits", 0)
    assert figures["held_out"].startswith("Not known")
    asked = {name: figures["sampler"][name] for name in ("sampler", "steps", "guidance_interval")}
    assert asked == {"sampler": "ddim", "steps": 2, "guidance_interval": [0.5, 20.0]}
    assert figures["network"]["images"] == 5
    assert "Structure" in (out / "report.html").read_text(encoding="utf-8")
    assert figures["kernel_distance"] > 0.1  # half of the noise is no digit
    (sampled,) = (out / "samples").glob("images_*")
    with np.load(sampled) as arrays:
        assert arrays["seeds"].tolist() == list(range(7, 117))
        assert arrays["labels"].tolist() == [seed % 10 for seed in range(7, 117)]
    # As if stopped before the last file: what is there is not sampled again.
    (out / "evaluation.json").unlink()
    (out / "report.html").unlink()
    before = sampled.stat()
    main(file, images=110, seed=7, out=out, **QUICK)
    assert sampled.stat() == before
    assert _figures(out)["kernel_distance"] == figures["kernel_distance"]
    with pytest.raises(FileExistsError, match="--overwrite"):
        main(file, images=120, out=out, **QUICK)
    main(file, images=120, out=out, overwrite=True, **QUICK)
    assert [path.name for path in (out / "samples").glob("images_*")] == [
        "images_00000000-00000119.npz"
    ]
    before = {path: path.stat() for path in out.rglob("*")}
    monkeypatch.setattr("kdiffusion.parts.evaluation.command.table", None)
    with pytest.raises(TypeError):  # at the end of the work
        main(file, images=110, out=out, overwrite=True, **QUICK)
    assert {path: path.stat() for path in out.rglob("*")} == before


def test_a_small_folder_gets_as_many_samples_as_it_has_and_one_line_for_the_rest(
    digits_file, write_folder, network, tmp_path, capsys
):
    folder = write_folder("mine", dict.fromkeys(range(10), 20))
    file = digits_file(dataset="folder")
    options = {"reading": Reading(network(["batch", "h", "w", 1])), "sampling": QUICK["sampling"]}
    for images, out in ((None, tmp_path / "chosen"), (150, tmp_path / "asked")):
        main(file, data=folder, images=images, out=out, **options)
        figures = _figures(out)
        assert figures["images"] == (images or 180)
        assert figures["kernel_distance"] is not None
        assert {"precision_recall", "share_as_asked"} <= figures["not_measured"].keys()
        assert capsys.readouterr().out.count("Not measured") == 1


def test_a_network_of_no_classes_is_measured_by_all_but_labels(digits_file, tmp_path):
    file = digits_file(class_names=("image",), null_label=1)
    main(file, out=tmp_path / "out", sampling=QUICK["sampling"], images=100)
    main(tmp_path / "out" / "samples", data="digits", out=tmp_path / "again", images=100)
    for out in ("out", "again"):
        figures = _figures(tmp_path / out)
        assert figures["kernel_distance"] > 0
        assert "no labels" in figures["not_measured"]["share_as_asked"]


@pytest.mark.parametrize("names", ["3", "93"])
def test_sub_folders_are_the_classes_of_the_data_by_name(write_folder, tmp_path, names):
    real = {"images": "validation_images", "labels": "validation_labels"}
    drawn = write_folder("samples", {int(name): 30 for name in names}, **real)
    main(drawn, data="digits", measures=("share_as_asked",), out=tmp_path / "out")
    figures = _figures(tmp_path / "out")
    assert figures["share_as_asked"] > 0.9
    asked = [name for name, share in figures["share_by_class"].items() if share is not None]
    assert asked == sorted(names)
