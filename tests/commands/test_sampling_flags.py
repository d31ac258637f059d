"""Every sampling option is a flag, and a flag that isn't given says nothing."""

import dataclasses

import pytest
import tyro

from kdiffusion.commands.sampling_flags import AS_RECOMMENDED, Sampling, SamplingFlags
from kdiffusion.diffusion.options import RecommendedSampling
from kdiffusion.runs.config import SamplingConfig

_OTHER_VALUES = {
    "sampler": ("heun", "heun"),
    "steps": ("7", 7),
    "spacing": ("karras", "karras"),
    "guidance_strength": ("0", 0.0),  # not the same as none given
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


def test_each_option_is_a_flag():
    assert {field.name for field in dataclasses.fields(SamplingFlags)} == set(_OTHER_VALUES)
    assert _parse([]).given() == {}


@pytest.mark.parametrize("name", _OTHER_VALUES)
def test_a_flag_is_given_as_it_was_typed_and_alone(name):
    text, value = _OTHER_VALUES[name]
    flag = "--no-clip" if name == "clip" else f"--{name.replace('_', '-')}"
    assert _parse([flag, *text.split()]).given() == {name: value}


@pytest.mark.parametrize(("flag", "known"), [("sampler", "unipc"), ("spacing", "quadratic")])
def test_an_unknown_name_is_refused_with_those_that_are_known(flag, known, capsys):
    with pytest.raises(SystemExit):
        _parse([f"--{flag}", "best"])
    assert known in capsys.readouterr().err


def test_a_runs_settings_and_the_card_have_the_recommended_options(card):
    names = {field.name for field in dataclasses.fields(RecommendedSampling)}
    assert {field.name for field in dataclasses.fields(SamplingConfig)} == names
    assert names <= {field.name for field in dataclasses.fields(card)}
    resolved = _parse(["--steps", "3"]).options().resolve(card)
    assert (resolved.sampler, resolved.steps, resolved.guidance_strength) == ("ddim", 3, 1.0)
