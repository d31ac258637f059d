"""What a user types for a class."""

import pytest

from kdiffusion.commands.labels import labels_from_text

ANIMALS = ("cat", "dog", "Great Ape")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["all"], [0, 1, 2]),
        (["none"], [3]),
        (["DOG", "great ape", "0"], [1, 2, 0]),
        (["2", "2"], [2, 2]),
        (["dog", "all"], [1, 0, 1, 2]),
    ],
)
def test_names_numbers_all_and_none(texts, expected):
    assert labels_from_text(texts, ANIMALS) == expected


@pytest.mark.parametrize(
    ("names", "texts", "expected"),
    [
        (("3", "7"), ["7"], [1]),  # a name comes before a number
        (("rest", "all", "none"), ["all", "none", "1"], [0, 1, 2, 3, 1]),
        (("Cat", "cat", "Dog"), ["Cat", "cat", "DOG"], [0, 1, 2]),
        # An accent is a part of its letter, or a character of its own, as on macOS.
        (("tea", "cafe\u0301"), ["caf\u00e9", "CAFE\u0301"], [1, 1]),
    ],
)
def test_names_that_could_be_something_else(names, texts, expected):
    assert labels_from_text(texts, names) == expected


@pytest.mark.parametrize("text", ["bird", "3", "-1", "1.0", ""])
def test_an_unknown_class_is_refused_with_the_classes_listed(text):
    with pytest.raises(ValueError, match=r"\[0, 2\].*cat.*dog.*Great Ape") as error:
        labels_from_text([text], ANIMALS)
    assert repr(text) in str(error.value)
