"""What a user types for a class."""

import pytest

from kdiffusion.commands.labels import labels_from_text

ANIMALS = ("cat", "dog", "Great Ape")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["all"], [0, 1, 2]),
        (["dog"], [1]),
        (["DOG", "great ape", "0"], [1, 2, 0]),
        (["2", "2"], [2, 2]),
        (["dog", "all"], [1, 0, 1, 2]),
    ],
)
def test_names_numbers_and_all(texts, expected):
    assert labels_from_text(texts, ANIMALS) == expected


def test_a_name_comes_before_a_number():
    assert labels_from_text(["7"], ("3", "7")) == [1]


def test_all_and_none_keep_their_meaning_whatever_the_classes_are_called():
    names = ("rest", "all", "none")
    assert labels_from_text(["all"], names) == [0, 1, 2]
    assert labels_from_text(["none"], names) == [3]
    assert labels_from_text(["1", "2"], names) == [1, 2]


def test_capitals_tell_classes_apart_where_nothing_else_does():
    names = ("Cat", "cat", "Dog")
    assert labels_from_text(["Cat", "cat", "DOG"], names) == [0, 1, 2]
    with pytest.raises(ValueError, match=r"apart between Cat, cat\. Received: 'CAT'"):
        labels_from_text(["CAT"], names)


def test_a_name_that_looks_the_same_is_the_same():
    """An accent is a letter's part or a character of its own, as on macOS, by who wrote it."""
    one, two = "caf\u00e9", "cafe\u0301"
    assert labels_from_text([one, two, "CAFE\u0301"], ("tea", two)) == [1, 1, 1]
    assert labels_from_text([one, two, "CAFE\u0301"], ("tea", one)) == [1, 1, 1]
    assert labels_from_text([one, two], (one, two)) == [0, 1]


@pytest.mark.parametrize("text", ["bird", "3", "-1", "1.0", "", "null"])
def test_what_is_no_class_is_refused_with_the_classes_listed(text):
    with pytest.raises(ValueError, match=r"\[0, 2\].*cat.*dog.*Great Ape") as error:
        labels_from_text([text], ANIMALS)
    assert repr(text) in str(error.value)


def test_no_label_is_refused():
    with pytest.raises(ValueError, match="at least one class"):
        labels_from_text([], ANIMALS)
