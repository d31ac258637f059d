"""The bound as a command: on real digits, against the function; and what it refuses."""

import csv
import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands.likelihood import _held_out_images, main, spread_over_classes
from kdiffusion.data import load_dataset
from kdiffusion.diffusion.card import DataSplit, Parent
from kdiffusion.diffusion.likelihood import variational_bound


@pytest.fixture
def write_digits_file(toy_file, card, tmp_path):
    """Writes the toy denoiser, as if it had learnt the digits under a split."""

    def write(data_split=None, parent=None):
        digits_card = dataclasses.replace(
            card, image_shape=(8, 8, 1), class_names=tuple("0123456789"), null_label=10,
            dataset="digits", data_split=data_split, parent=parent,
        )  # fmt: skip
        text = digits_card.to_json()
        file = dataclasses.replace(toy_file, card_text=text, image_shape=(8, 8, 1))
        return file.write(tmp_path / "digits.onnx")

    return write


@pytest.fixture
def digits_file(write_digits_file):
    return write_digits_file()


def test_it_takes_the_images_that_the_training_held_out(write_digits_file):
    digits = load_dataset("digits", seed=1, validation_fraction=0.2)
    file = write_digits_file(DataSplit(seed=1, validation_fraction=0.2))
    card = load_denoiser(file).card
    images, labels, origin = _held_out_images(card, "digits", None, 200)
    held_out = {image.tobytes() for image in digits.validation_images}
    assert {image.tobytes() for image in images} <= held_out
    np.testing.assert_allclose(np.bincount(labels), 20, atol=1)
    assert "no hash of it" in origin


def test_it_says_whether_the_images_were_held_out(write_digits_file, capsys):
    sha256 = load_dataset("digits", seed=1).content_hash()
    assert sha256 != load_dataset("digits", seed=2).content_hash()
    said = {
        "Held out of the training: digits, split by seed 1": DataSplit(
            seed=1, validation_fraction=0.1, sha256=sha256
        ),
        "the SHA-256 differs": DataSplit(seed=2, validation_fraction=0.1, sha256=sha256),
        "Held out, if the data is still the same": DataSplit(seed=1, validation_fraction=0.1),
        "does not say how its data was split": None,
    }
    for words, split in said.items():
        main(write_digits_file(split), images=2, steps=2)
        assert words in capsys.readouterr().out
    parent = Parent(name="first.onnx", sha256=64 * "a")
    main(write_digits_file(next(iter(said.values())), parent), images=2, steps=2)
    assert "began with (first.onnx) may have been trained on them" in capsys.readouterr().out


def test_the_classes_have_their_shares_however_few_images_are_taken():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    for count in (1, 10, 20, 100):
        rows = spread_over_classes(labels, count)
        assert len(set(rows.tolist())) == count
        shares = np.bincount(labels[rows], minlength=3)
        np.testing.assert_allclose(shares, np.array([0.6, 0.3, 0.1]) * count, atol=1)


@pytest.mark.parametrize("steps", [None, 5])
def test_it_tells_the_bound_of_validation_images(digits_file, tmp_path, capsys, steps):
    main(digits_file, images=12, steps=steps, seed=3, batch_size=5, out=tmp_path / "terms.csv")
    denoiser, digits = load_denoiser(digits_file), load_dataset("digits")
    rows = spread_over_classes(digits.validation_labels, 12)
    bound = variational_bound(
        denoiser, digits.validation_images[rows], digits.validation_labels[rows],
        range(3, 15), steps=steps, progress=False,
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    total, error = (float(word) for word in lines[1].split()[2:])
    assert total == pytest.approx(bound.total.mean(), abs=1e-4)
    assert error == pytest.approx(np.std(bound.total, ddof=1) / 12**0.5, abs=1e-4)
    parts = [float(line.split()[-2]) for line in lines[2:5]]
    assert sum(parts) == pytest.approx(total, abs=2e-4)
    with open(tmp_path / "terms.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["timestep"] for row in rows] == ["prior", *map(str, bound.timesteps)]
    terms = [float(row["bits_per_dimension"]) for row in rows]
    np.testing.assert_allclose(terms, [bound.prior.mean(), *bound.terms.mean(axis=0)], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"images": 0}, "`images` must be at least 1"),
        ({"images": 1000}, "at most the 180 validation images"),
        ({"steps": 1}, "`steps` must be at least 2"),
        ({"steps": 21}, "`steps`"),
        ({"data": "folder"}, "directory"),
    ],
)
def test_what_cannot_be_is_refused(digits_file, options, message):
    with pytest.raises(ValueError, match=message):
        main(digits_file, **options)


def test_of_one_image_no_error_is_told(digits_file, tmp_path, capsys):
    main(digits_file, images=1, steps=2, out=tmp_path / "terms.csv")
    assert "nan" not in capsys.readouterr().out
    _, *rows = csv.reader((tmp_path / "terms.csv").open())
    assert [row[-1] for row in rows] == ["", "", ""]


def test_a_folder_of_images_may_be_named_by_its_path(digits_file, tmp_path):
    (tmp_path / "mine" / "a").mkdir(parents=True)
    with pytest.raises(ValueError, match="has no images"):
        main(digits_file, data=str(tmp_path / "mine"))


def test_another_data_set_is_refused(toy):
    with pytest.raises(ValueError, match="`data` must have the model's images"):
        main(toy, data="digits")


def test_classes_of_other_names_are_named_from_the_first_on(digits_file):
    card = load_denoiser(digits_file).card
    other = dataclasses.replace(card, class_names=(*"0123456", "cat", "8", "9"))
    with pytest.raises(
        ValueError, match=r"\(cat, 8, 9, number 7 on\)\. .* \(7, 8, 9, number 7 on\)"
    ):
        _held_out_images(other, "digits", None, 2)


def test_an_existing_file_is_kept(digits_file):
    with pytest.raises(FileExistsError):
        main(digits_file, out=digits_file)


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "keras", "sklearn"]))  # an import of one fails
from kdiffusion.__main__ import main
main(sys.argv[1:])
"""


def test_it_asks_for_the_data_sets_own_package_and_no_more(digits_file):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "likelihood", digits_file], capture_output=True, text=True
    )
    assert done.returncode == 1
    said = "error: this needs scikit-learn, which `pip install scikit-learn` installs\n"
    assert done.stderr == said
