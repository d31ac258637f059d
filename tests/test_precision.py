import dataclasses
import warnings

import pytest

from kdiffusion import precision
from kdiffusion.precision import cpu_has_bfloat16, resolve_policy, warn_if_emulated
from kdiffusion.runs import PRESETS
from kdiffusion.runs import run as run_module
from kdiffusion.runs.run_directory import RunDirectory, as_begun


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags : fpu avx2 fma", False),
        ("flags : avx512f avx512_bf16", True),
        ("flags : amx_bf16 amx_tile", True),
        ("Features : fp asimd bf16 i8mm", True),
        ("Features : fp asimd", False),
        ("flags : avx512f avx512_bf16x", False),
    ],
)
def test_a_processor_tells_by_a_word_whether_it_multiplies_bfloat16(tmp_path, flags, has):
    description = tmp_path / "cpuinfo"
    description.write_text(f"processor : 0\n{flags}\n")
    assert cpu_has_bfloat16(description) is has


def test_a_processor_that_tells_nothing_is_taken_to_have_none(tmp_path):
    assert not cpu_has_bfloat16(tmp_path / "nothing")


@pytest.mark.parametrize(("capability", "has"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_tells_by_its_compute_capability(capability, has):
    assert precision._gpu_has_bfloat16({"compute_capability": capability}) is has


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_policy_that_is_named_is_taken(name):
    assert resolve_policy(name) == name


def test_auto_is_one_of_two_and_the_same_each_time():
    assert resolve_policy("auto") in ("float32", "mixed_bfloat16")
    assert resolve_policy("auto") == resolve_policy("auto")


def test_no_preset_demands_bfloat16_of_a_machine_without_it():
    asked = {name: preset.model.dtype_policy for name, preset in PRESETS.items()}
    assert "mixed_bfloat16" not in asked.values()


def _config(policy):
    digits = PRESETS["digits"]
    return dataclasses.replace(digits, model=dataclasses.replace(digits.model, dtype_policy=policy))


def test_a_run_keeps_the_policy_that_auto_took_when_it_began():
    begun = run_module._with_policy(_config("auto"))
    assert begun.model.dtype_policy == resolve_policy("auto")
    elsewhere = "float32" if begun.model.dtype_policy == "mixed_bfloat16" else "mixed_bfloat16"
    before = RunDirectory("run", _config(elsewhere), (8, 8, 1), ("0",), 1)
    assert as_begun(_config("auto"), before) == before.config
    assert as_begun(_config("float32"), before) == _config("float32")


def test_bfloat16_that_will_be_emulated_is_warned_of_and_nothing_else():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("float32", "mixed_float16", resolve_policy("auto")):
            warn_if_emulated(name)
    if resolve_policy("auto") == "float32":
        with pytest.warns(UserWarning, match="nothing says that this machine multiplies bfloat16"):
            warn_if_emulated("mixed_bfloat16")
