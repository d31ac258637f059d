"""The bound as a command: on real digits, against the function; and what it refuses."""

import csv
import dataclasses

import numpy as np
import pytest

from export import load_denoiser
from export.likelihood import main
from kdiffusion.data import load_dataset
from kdiffusion.diffusion.likelihood import variational_bound


@pytest.fixture
def digits_file(toy_file, card, tmp_path):
    """The toy denoiser, as if it had learnt the digits."""
    card = dataclasses.replace(
        card, image_shape=(8, 8, 1), class_names=tuple("0123456789"), null_label=10,
        dataset="digits",
    )  # fmt: skip
    file = dataclasses.replace(toy_file, card_text=card.to_json(), image_shape=(8, 8, 1))
    return file.write(tmp_path / "digits.onnx")


@pytest.mark.parametrize("steps", [None, 5])
def test_it_tells_the_bound_of_the_first_validation_images(digits_file, tmp_path, capsys, steps):
    main(digits_file, images=12, steps=steps, seed=3, batch_size=5, out=tmp_path / "terms.csv")
    denoiser, digits = load_denoiser(digits_file), load_dataset("digits")
    bound = variational_bound(
        denoiser, denoiser.card, digits.validation_images[:12], digits.validation_labels[:12],
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


def test_another_data_set_is_refused(toy):
    with pytest.raises(ValueError, match="`data` must have the model's images"):
        main(toy, data="digits")


def test_an_existing_file_is_kept(digits_file):
    with pytest.raises(FileExistsError):
        main(digits_file, out=digits_file)
