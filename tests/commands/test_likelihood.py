"""The bound as a command: on real digits, against the function; and what it refuses."""

import numpy as np
import pytest

from kdiffusion.artifacts import load_denoiser
from kdiffusion.commands.likelihood import main, spread_over_classes
from kdiffusion.data import load_dataset
from kdiffusion.data.loading import load_as_split
from kdiffusion.diffusion.card import DataSplit, Parent
from kdiffusion.diffusion.likelihood import variational_bound


def test_it_takes_the_images_that_the_training_held_out_and_says_so(digits_file):
    split = {"seed": 1, "validation_fraction": 0.2}
    digits = load_dataset("digits", **split)
    sha256 = digits.content_hash()
    said = {
        "Held out of the training: digits, SHA": DataSplit(**split, sha256=sha256),
        "Held out of the training, if": DataSplit(**split),
        "Not known: digits is not": DataSplit(**split, sha256=64 * "a"),
        "Not known: whether": None,
    }
    for words, data_split in said.items():
        card = load_denoiser(digits_file(data_split=data_split)).card
        dataset, origin = load_as_split(card, "digits")
        assert origin.startswith(words)
        if data_split is not None:
            np.testing.assert_array_equal(dataset.validation_images, digits.validation_images)
    parent = Parent(name="first.onnx", sha256=64 * "a")
    _, origin = load_as_split(load_denoiser(digits_file(parent=parent)).card, "digits")
    assert "(first.onnx) may have been trained on them" in origin


def test_the_classes_have_their_shares_however_few_images_are_taken():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    for count in (1, 10, 20, 100):
        rows = spread_over_classes(labels, count)
        assert len(set(rows.tolist())) == count
        shares = np.bincount(labels[rows], minlength=3)
        np.testing.assert_allclose(shares, np.array([0.6, 0.3, 0.1]) * count, atol=1)


@pytest.mark.parametrize(("steps", "variance"), [(None, "fixed_large"), (5, "fixed_small")])
def test_it_tells_the_bound_of_validation_images(digits_file, capsys, steps, variance):
    options = {"images": 12, "steps": steps, "seed": 3, "batch_size": 5}
    file = digits_file()
    main(file, **options, variance=variance)
    denoiser, digits = load_denoiser(file), load_dataset("digits")
    rows = spread_over_classes(digits.validation_labels, 12)
    bound = variational_bound(
        denoiser, digits.validation_images[rows], digits.validation_labels[rows],
        range(3, 15), steps=steps, variance=variance, progress=False,
    )  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    total, error = (float(word) for word in lines[1].split()[2:])
    assert total == pytest.approx(bound.total.mean(), abs=1e-4)
    assert error == pytest.approx(np.std(bound.total, ddof=1) / 12**0.5, abs=1e-4)
    parts = [float(line.split()[-2]) for line in lines[2:5]]
    assert sum(parts) == pytest.approx(total, abs=2e-4)


def test_another_data_set_is_refused(toy):
    with pytest.raises(ValueError, match="`data`"):
        main(toy, data="digits")
