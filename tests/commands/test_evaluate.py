"""The command on real digits: from an exported file, from what was drawn, and what it refuses."""

import dataclasses
import json
import math
import os

import numpy as np
import pytest
from PIL import Image

from kdiffusion.artifacts import ArtifactError, load_denoiser
from kdiffusion.commands.evaluate import main
from kdiffusion.commands.sampling_flags import SamplingFlags
from kdiffusion.commands.seed_files import read_folder
from kdiffusion.data import load_dataset
from kdiffusion.data.packing import pack


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr("kdiffusion.evaluation.measures.KERNEL_SUBSETS", 4)


@pytest.fixture
def digits_file(toy_file, card, tmp_path):
    """The toy denoiser, as if it had learnt the digits."""
    card = dataclasses.replace(
        card, image_shape=(8, 8, 1), class_names=tuple("0123456789"), null_label=10,
        dataset="digits",
    )  # fmt: skip
    file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
    return file.write(tmp_path / "digits.onnx")


QUICK = {
    "features": "pixels",
    "measures": ("kernel", "copies"),
    "network_images": 5,
    "sampling": SamplingFlags(steps=2, sampler="ddim", guidance_interval=(0.5, math.inf)),
}


def test_it_draws_measures_and_writes_and_goes_on_where_it_stopped(digits_file, tmp_path, capsys):
    out = tmp_path / "out"
    main(digits_file, images=110, seed=7, out=out, **QUICK)
    assert "Kernel distance" in capsys.readouterr().out
    assert sorted(os.listdir(out)) == ["drawn", "evaluation.json", "report.html"]
    figures = json.loads((out / "evaluation.json").read_text())
    assert (figures["images"], figures["data"], figures["copies"]) == (110, "digits", 0)
    assert figures["sampler"]["steps"] == 2
    assert figures["sampler"]["sampler"] == "ddim"
    assert figures["sampler"]["guidance_interval"] == [0.5, "inf"]
    assert figures["network"]["images"] == 5
    assert "The network, without drawing" in (out / "report.html").read_text()
    assert figures["kernel_distance"] > 0.1  # half of the noise is no digit
    ((_, labels, seeds),) = read_folder(out / "drawn")
    assert seeds.tolist() == list(range(7, 117))
    assert labels.tolist() == [seed % 10 for seed in seeds]
    # As if stopped before the last file: what was drawn is not drawn again.
    (out / "evaluation.json").unlink()
    (out / "report.html").unlink()
    before = next((out / "drawn").glob("*.npz")).stat()
    main(digits_file, images=110, seed=7, out=out, **QUICK)
    assert next((out / "drawn").glob("*.npz")).stat() == before
    again = json.loads((out / "evaluation.json").read_text())
    assert again["kernel_distance"] == figures["kernel_distance"]
    # A quick look, and then the whole.
    with pytest.raises(FileExistsError, match="--overwrite"):
        main(digits_file, images=120, seed=0, out=out, **QUICK)
    main(digits_file, images=120, seed=0, out=out, overwrite=True, **QUICK)
    assert [file.name for file in (out / "drawn").glob("*.npz")] == ["images_00000000-00000119.npz"]
    for flags, said in (
        ({"sampler": "unipc", "eta": 0.5}, "`eta` has no meaning"),
        ({"steps": 5000}, "`steps`"),
        ({"batch_size": 0}, "`batch_size`"),
    ):
        impossible = {**QUICK, "sampling": SamplingFlags(**flags)}
        with pytest.raises(ValueError, match=said):
            main(digits_file, images=100, out=out, overwrite=True, **impossible)
        assert [f.name for f in (out / "drawn").glob("*.npz")] == ["images_00000000-00000119.npz"]
    whole = {**QUICK, "sampling": dataclasses.replace(QUICK["sampling"], batch_size=60)}
    main(digits_file, images=100, out=out, overwrite=True, **whole)
    assert "labels" not in json.loads((out / "evaluation.json").read_text())["sampler"]


def test_the_greatest_seeds_are_taken(digits_file, tmp_path):
    options = {**QUICK, "network_images": 120}  # their noise is of the seeds 0 to 9 at last
    main(digits_file, images=110, seed=2**64 - 110, out=tmp_path / "out", **options)
    ((_, _, seeds),) = read_folder(tmp_path / "out" / "drawn")
    assert seeds[-1] == 2**64 - 1


def test_classes_are_drawn_in_the_shares_of_the_data(digits_file, tmp_path):
    digits = load_dataset("digits")
    for label in range(10):
        (tmp_path / "few" / str(label)).mkdir(parents=True)
        chosen = np.flatnonzero(digits.labels == label)[: 100 if label == 3 else 20]
        for index in chosen:
            Image.fromarray(digits.images[index, ..., 0]).save(
                tmp_path / "few" / str(label) / f"{index}.png"
            )
    options = {**QUICK, "features": None, "judge": "digits", "images": 140, "network_images": 0}
    saved = tmp_path / "few.npz"
    main(
        digits_file, data=str(tmp_path / "few"), save_statistics=saved, out=tmp_path / "out",
        **options,
    )  # fmt: skip
    options["measures"] = ("share_as_asked",)
    main(digits_file, data=str(saved), out=tmp_path / "saved", **options)
    for out in ("out", "saved"):
        ((_, labels, _),) = read_folder(tmp_path / out / "drawn")
        assert np.bincount(labels).tolist() == [10, 10, 10, 50, 10, 10, 10, 10, 10, 10]
    with np.load(saved) as arrays:  # as of another tool
        np.savez(tmp_path / "theirs.npz", mu=arrays["mu"], sigma=arrays["sigma"])
    main(digits_file, data=str(tmp_path / "theirs.npz"), out=tmp_path / "even", **options)
    ((_, labels, _),) = read_folder(tmp_path / "even" / "drawn")
    assert np.bincount(labels).tolist() == [14] * 10
    del options["judge"]
    with pytest.raises(ValueError, match=r"`judge` must be given.* those of judge digits\.onnx"):
        main(digits_file, data=str(saved), out=tmp_path / "unread", **options)


def test_the_images_that_the_training_held_out_are_held_out(digits_file, toy_file, card, tmp_path):
    split = {"seed": 5, "validation_fraction": 0.2}
    digits = load_dataset("digits", **split)
    card = dataclasses.replace(
        load_denoiser(digits_file).card, data_split={**split, "sha256": digits.content_hash()}
    )
    file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
    main(file.write(tmp_path / "split.onnx"), images=100, out=tmp_path / "out", **QUICK)
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["held_out"].startswith("Held out of the training: digits, split by seed 5")
    assert figures["copies_by_chance"] == 100 / (len(digits.validation_images) + 1)
    main(digits_file, images=100, out=tmp_path / "unknown", **QUICK)
    figures = json.loads((tmp_path / "unknown" / "evaluation.json").read_text())
    assert figures["held_out"].startswith("Not known")


def test_a_network_of_no_classes_is_measured_by_all_but_labels(toy_file, card, tmp_path):
    card = dataclasses.replace(
        card, image_shape=(8, 8, 1), class_names=("image",), null_label=1, dataset="digits"
    )
    file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
    options = {**QUICK, "measures": None, "images": 500}
    main(file.write(tmp_path / "one.onnx"), out=tmp_path / "out", **options)
    del options["network_images"], options["sampling"]
    main(tmp_path / "out" / "drawn", data="digits", out=tmp_path / "again", **options)
    for out in ("out", "again"):
        figures = json.loads((tmp_path / out / "evaluation.json").read_text())
        assert figures["kernel_distance"] > 0
        assert figures["share_as_asked"] is None
        assert "no labels" in figures["not_measured"]["share_as_asked"]


def test_a_judge_that_may_know_the_held_out_images_is_told(digits_file, toy_file, tmp_path):
    for seed, is_told in ((0, False), (1, True)):
        digits = load_dataset("digits", seed=seed)
        split = {"seed": seed, "validation_fraction": 0.1, "sha256": digits.content_hash()}
        card = dataclasses.replace(load_denoiser(digits_file).card, data_split=split)
        file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
        path, out = file.write(tmp_path / f"{seed}.onnx"), tmp_path / f"out {seed}"
        main(path, images=100, out=out, **{**QUICK, "features": None})
        said = json.loads((out / "evaluation.json").read_text())["held_out"]
        assert said.startswith("Held out of the training")
        assert ("A judge is trained with the default split" in said) == is_told


def test_a_folder_of_images_is_judged_by_its_path_alone(digits_file, toy_file, tmp_path):
    digits = load_dataset("digits")
    for label in range(10):
        (tmp_path / "data" / str(label)).mkdir(parents=True)
        for number, image in enumerate(digits.images[digits.labels == label][:20, ..., 0]):
            Image.fromarray(image).save(tmp_path / "data" / str(label) / f"{number}.png")
    split = {"seed": 1, "validation_fraction": 0.1, "sha256": None}
    card = dataclasses.replace(load_denoiser(digits_file).card, data_split=split)
    file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
    options = {**QUICK, "features": None, "judge": "digits", "data": str(tmp_path / "data")}
    main(file.write(tmp_path / "toy.onnx"), images=100, out=tmp_path / "out", **options)
    said = json.loads((tmp_path / "out" / "evaluation.json").read_text())["held_out"]
    assert said.endswith("A judge is trained with the default split, and may know them.")


def test_packed_data_are_not_said_to_be_split_as_the_run_was_told(digits_file, toy_file, tmp_path):
    packed = tmp_path / "packed"
    pack("digits", packed, seed=7, progress=False)
    sha256 = load_dataset("packed", directory=packed).content_hash()
    split = {"seed": 0, "validation_fraction": 0.1, "sha256": sha256}
    card = dataclasses.replace(load_denoiser(digits_file).card, data_split=split, dataset="packed")
    file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
    options = {**QUICK, "features": None, "judge": "digits", "directory": packed, "images": 100}
    main(file.write(tmp_path / "toy.onnx"), out=tmp_path / "out", **options)
    said = json.loads((tmp_path / "out" / "evaluation.json").read_text())["held_out"]
    assert said.startswith("Held out of the training: packed, split when it was packed, SHA-256")
    assert said.endswith("A judge is trained with the default split, and may know them.")


def test_what_was_drawn_before_is_evaluated_alike(digits_file, tmp_path):
    options = {"features": QUICK["features"], "measures": QUICK["measures"]}
    main(digits_file, images=110, out=tmp_path / "out", **QUICK)
    main(tmp_path / "out" / "drawn", data="digits", out=tmp_path / "again", **options)
    first, again = (
        json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("out", "again")
    )
    same = ("images", "kernel_distance", "near_training_share", "sampler")
    assert {key: first[key] for key in same} == {key: again[key] for key in same}


def test_real_digits_score_as_real_and_their_statistics_are_saved(tmp_path):
    digits = load_dataset("digits")
    np.savez(tmp_path / "real.npz", arr_0=digits.validation_images)
    options = {"judge": "digits", "measures": ("frechet", "kernel")}
    statistics = tmp_path / "digits.npz"
    main(
        tmp_path / "real.npz", data="digits", out=tmp_path / "out", save_statistics=statistics,
        **options,
    )  # fmt: skip
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["frechet_distance"] == figures["real"]["frechet_distance"]
    assert abs(figures["kernel_distance"]) < 2 * figures["kernel_distance_sd"]
    assert set(np.load(statistics)) == {
        "mu", "sigma", "images", "features", "identity", "class_counts",
    }  # fmt: skip
    with pytest.raises(ValueError, match="fitted to real images"):
        main(tmp_path / "real.npz", data=str(statistics), out=tmp_path / "more", features="pixels")
    with pytest.raises(ValueError, match=r"`--judge`, or choose the path of an ONNX network\."):
        main(tmp_path / "real.npz", data=str(statistics), out=tmp_path / "more", features="judge")
    with pytest.raises(ValueError, match="`save_statistics` needs the judge's features or an ONNX"):
        main(
            tmp_path / "real.npz", data="digits", out=tmp_path / "more", features="pixels",
            measures=("kernel",), save_statistics=tmp_path / "fitted.npz",
        )  # fmt: skip
    assert not (tmp_path / "more").exists()
    with pytest.raises(ValueError, match="`save_statistics` needs real images"):
        main(
            tmp_path / "real.npz", data=str(statistics), out=tmp_path / "more",
            features=tmp_path / "never read.onnx", save_statistics=tmp_path / "again.npz",
        )  # fmt: skip


def test_a_folder_of_the_name_of_a_data_set_does_not_stand_in_its_way(tmp_path, monkeypatch):
    digits = load_dataset("digits")
    (tmp_path / "digits" / "notes").mkdir(parents=True)
    np.savez(tmp_path / "real.npz", arr_0=digits.validation_images)
    monkeypatch.chdir(tmp_path)
    options = {"features": "pixels", "measures": ("kernel",)}
    main(tmp_path / "real.npz", data="digits", out=tmp_path / "out", **options)
    with pytest.raises(ValueError, match="has no images"):
        main(tmp_path / "real.npz", data="./digits", out=tmp_path / "other", **options)


@pytest.mark.parametrize("named", ["mine", "mine.npz"])
def test_a_path_that_a_file_names_as_its_data_is_not_opened(
    toy_file, card, tmp_path, monkeypatch, named
):
    (tmp_path / "mine" / "a").mkdir(parents=True)
    np.savez(tmp_path / "mine.npz", mu=np.zeros(2), sigma=np.eye(2))
    monkeypatch.chdir(tmp_path)
    card = dataclasses.replace(card, dataset=named)
    file = dataclasses.replace(toy_file, card_text=card.to_json()).write(tmp_path / "named.onnx")
    with pytest.raises(ValueError, match="`name` must be"):
        main(file, out=tmp_path / "out", **QUICK)


@pytest.mark.parametrize("names", ["3", "93"])
def test_sub_folders_are_the_classes_of_the_data_by_name(tmp_path, names):
    digits = load_dataset("digits")
    for name in names:
        (tmp_path / "drawn" / name).mkdir(parents=True)
        chosen = digits.validation_images[digits.validation_labels == int(name), ..., 0]
        for number, image in enumerate(chosen):
            Image.fromarray(image).save(tmp_path / "drawn" / name / f"{number}.png")
    options = {"data": "digits", "measures": ("share_as_asked",)}
    main(tmp_path / "drawn", out=tmp_path / "out", **options)
    figures = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert figures["share_as_asked"] > 0.9
    asked = [name for name, share in figures["share_by_class"].items() if share is not None]
    assert asked == sorted(names)


def test_an_overwriting_that_was_stopped_goes_on_without(digits_file, tmp_path, monkeypatch):
    statistics = tmp_path / "real.npz"
    options = {**QUICK, "features": None, "images": 100, "out": tmp_path}
    options["save_statistics"] = statistics
    main(digits_file, **options)
    real = statistics.read_bytes()

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("kdiffusion.commands.evaluate.run_job", stop)
        with pytest.raises(KeyboardInterrupt):
            main(digits_file, seed=1, overwrite=True, **options)
    assert statistics.read_bytes() == real  # they don't depend on what is drawn
    before = next((tmp_path / "drawn").glob("*.npz")).stat()
    main(digits_file, seed=1, **options)
    assert next((tmp_path / "drawn").glob("*.npz")).stat() == before
    assert json.loads((tmp_path / "evaluation.json").read_text())["seed"] == 1
    statistics.write_bytes(b"another's")
    for path in (tmp_path / "evaluation.json", tmp_path / "report.html"):
        path.unlink()
    with pytest.raises(FileExistsError, match=r"real\.npz exists"):
        main(digits_file, seed=1, **options)
    assert statistics.read_bytes() == b"another's"


def test_an_earlier_evaluation_stays_unless_told(digits_file, tmp_path):
    out = tmp_path / "out"
    main(digits_file, images=100, out=out, **QUICK)
    before = (out / "evaluation.json").read_bytes()
    with pytest.raises(FileExistsError):
        main(digits_file, images=120, out=out, **QUICK)
    assert (out / "evaluation.json").read_bytes() == before
    for name in ("evaluation.json", "report.html"):  # as if it had been stopped
        (out / name).rename(tmp_path / name)
    with pytest.raises(ValueError, match="overlaps"):
        main(digits_file, images=120, out=out, **QUICK)
    main(digits_file, images=120, out=out, overwrite=True, **QUICK)
    assert json.loads((out / "evaluation.json").read_text())["images"] == 120


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": 0}, "`images` must be a whole number"),
        ({"seed": -1}, "`seeds` must be integers from 0"),
        ({"images": 100, "seed": 2**64 - 99}, "`seeds` must be integers from 0"),
        ({"network_images": 1}, "`network_images` must be 0 or at least 2"),
        ({"images": 20}, "kernel needs 100"),
        ({"images": 300, "measures": ("precision_recall",)}, "precision_recall needs 500"),
        ({"images": 300, "data": "."}, "sub-folder of images"),
        ({"images": 300, "measures": ("share_as_asked",)}, "there is no judge"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(
    digits_file, tmp_path, options, message, monkeypatch
):
    monkeypatch.setattr("kdiffusion.evaluation.judge.JUDGES", tmp_path / "none")  # holds no judge
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        main(digits_file, out=tmp_path / "out", **{**QUICK, **options})
    assert not (tmp_path / "out").exists()


def test_images_need_data_and_take_no_sampling_options(tmp_path):
    np.savez(tmp_path / "set.npz", arr_0=np.zeros((120, 8, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="`data` must be given"):
        main(tmp_path / "set.npz", out=tmp_path / "out")
    with pytest.raises(ValueError, match="for an exported file"):
        main(tmp_path / "set.npz", data="digits", out=tmp_path / "out", sampling=QUICK["sampling"])
    with pytest.raises(ValueError, match=r"`network_images` is for an exported file.*=77"):
        main(tmp_path / "set.npz", data="digits", out=tmp_path / "out", network_images=77)
    with pytest.raises(ValueError, match="`directory` must not be given where `data` is a file of"):
        main(tmp_path / "set.npz", data="real.npz", directory=tmp_path, out=tmp_path / "out")


def test_of_a_run_the_exported_file_is_asked_for(tmp_path):
    (tmp_path / "samples").mkdir()
    for name in ("config.json", "samples.png", "samples/0001.png"):
        (tmp_path / name).touch()
    with pytest.raises(ArtifactError, match=r"folder of a run, draw with .*denoiser\.onnx"):
        main(tmp_path, data="digits", out=tmp_path / "out")


def test_a_file_that_was_trained_on_a_folder_asks_for_it(digits_file, toy_file, tmp_path):
    card = dataclasses.replace(load_denoiser(digits_file).card, dataset="folder")
    file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
    with pytest.raises(ValueError, match="`data` must be the folder of images, or `directory`"):
        main(file.write(tmp_path / "toy.onnx"), out=tmp_path / "out")
