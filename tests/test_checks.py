import re

import numpy as np
import pytest

from kdiffusion.checks import check_name, check_number, check_seed, check_whole


def test_what_is_right_comes_back_as_plain_python():
    assert check_name("shape", "round", {"round": 1}) == "round"
    for value in (1, np.int64(1), np.float32(1)):
        assert type(check_number("size", value, "a number")) is float
    for value in (np.int32(3), np.array(3)):
        assert type(check_whole("count", value, 1, 3)) is int
    assert type(check_seed(np.uint64(2**64 - 1))) is int


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda: check_name("shape", "flat", {"round": 1, "long": 2}), "one of round, long"),
        (lambda: check_name("shape", ["round"], {"round": 1}), "one of round"),
        (lambda: check_number("size", np.nan, "a number"), "a number"),
        (lambda: check_number("size", True, "a number"), "a number"),
        (lambda: check_number("size", 10**400, "a number"), "a number"),
        (lambda: check_number("size", 1.5, "from 0 to 1", 0, 1), "from 0 to 1"),
        (lambda: check_whole("count", 0), "a whole number of at least 1"),
        (lambda: check_whole("count", 2.0), "a whole number of at least 1"),
        (lambda: check_whole("count", np.array(2.5)), "a whole number of at least 1"),
        (lambda: check_whole("count", np.array([2, 3])), "a whole number of at least 1"),
        (lambda: check_whole("count", 4, 1, 3), "a whole number from 1 to 3"),
        (lambda: check_seed(-1), "integers from 0"),
        (lambda: check_seed(2**64), "integers from 0"),
        (lambda: check_seed(True), "integers from 0"),
        (lambda: check_seed(np.array(2.5)), "integers from 0"),
    ],
)
def test_what_is_wrong_is_named_with_the_need_and_the_value(check, words):
    with pytest.raises(ValueError, match=f"^`\\w+` must be {re.escape(words)}.*Received: "):
        check()
