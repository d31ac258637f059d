"""Every sampling choice is a flag, and says nothing that the user did not say."""

import dataclasses

import pytest
import tyro

from kdiffusion.commands.sampling_flags import AS_RECOMMENDED, Sampling, SamplingFlags
from kdiffusion.diffusion.options import SamplingOptions

_OTHER_VALUES = {
    "sampler": ("heun", "heun"),
    "steps": ("7", 7),
    "spacing": ("karras", "karras"),
    "guidance_strength": ("2.5", 2.5),
    "guidance_interval": ("0.5 3", (0.5, 3.0)),
    "guidance_rescale": ("0.7", 0.7),
    "eta": ("0.25", 0.25),
    "variance": ("fixed_large", "fixed_large"),
    "clip": ("", False),
    "dynamic_threshold": ("0.995", 0.995),
    "batch_size": ("16", 16),
}


def _parse(arguments):
    def command(sampling: Sampling = AS_RECOMMENDED):
        return sampling

    return tyro.cli(command, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))


def test_each_choice_of_the_loop_is_a_flag():
    ours = {field.name for field in dataclasses.fields(SamplingFlags)}
    assert ours == {field.name for field in dataclasses.fields(SamplingOptions)} | {"batch_size"}
    assert ours == set(_OTHER_VALUES)


@pytest.mark.parametrize("name", _OTHER_VALUES)
def test_a_flag_is_given_as_it_was_typed_and_alone(name):
    text, value = _OTHER_VALUES[name]
    flag = "--no-clip" if name == "clip" else f"--{name.replace('_', '-')}"
    assert _parse([flag, *text.split()]).given() == {name: value}


def test_silence_gives_nothing():
    assert _parse([]).given() == {}


def test_strength_0_is_not_silence():
    assert _parse(["--guidance-strength", "0"]).given() == {"guidance_strength": 0.0}


@pytest.mark.parametrize(("flag", "known"), [("sampler", "unipc"), ("spacing", "quadratic")])
def test_an_unknown_name_is_refused_with_those_that_are_known(flag, known, capsys):
    with pytest.raises(SystemExit):
        _parse([f"--{flag}", "best"])
    assert known in capsys.readouterr().err


def test_the_help_explains_each(capsys):
    with pytest.raises(SystemExit):
        _parse(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for said in ("s = 1 + w", "trailing if not given", "fresh noise ddim adds", "saturated"):
        assert said in text.replace("│ │ ", "")
