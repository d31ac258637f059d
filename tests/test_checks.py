import pytest

from kdiffusion.checks import check_name


def test_a_name_that_is_not_in_the_table_is_refused_with_those_that_are():
    assert check_name("shape", "round", {"round": 1}) == "round"
    with pytest.raises(ValueError, match=r"`shape` must be one of round, long\. .*shape='flat'"):
        check_name("shape", "flat", {"round": 1, "long": 2})
