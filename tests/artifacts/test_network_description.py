import pytest

from kdiffusion.artifacts.network_description import NETWORK_CLASSES, build, checked, describe
from kdiffusion.networks import UNet
from kdiffusion.networks.weights import named_weights


def test_arguments_that_an_older_file_does_not_name_are_those_of_its_network():
    made = UNet((8, 8, 1), 3, 8, (1, 2), 1, (4,))
    name, described = describe(made)
    older = {key: value for key, value in described.items() if key != "input_norm"}
    read = checked(name, older, made.count_params(), len(made.weights))
    assert read == described
    assert named_weights(build(name, read)).keys() == named_weights(made).keys()


@pytest.mark.parametrize("name", NETWORK_CLASSES)
def test_only_arguments_of_the_class_may_be_missing(name):
    assert NETWORK_CLASSES[name].since.keys() < NETWORK_CLASSES[name].fields
    with pytest.raises(ValueError, match=r"it must have the fields .*dropout"):
        checked(name, {"dropout": 0.0}, 10**9, 10**9)
