import pytest

from kdiffusion.runs.build import cpu_has_bfloat16
from kdiffusion.runs.presets import PRESETS


@pytest.mark.parametrize(
    ("flags", "has"),
    [
        ("flags : fpu avx2 fma", False),
        ("flags : avx512f avx512_bf16", True),
        ("Features : fp asimd bf16 i8mm", True),
        ("flags : avx512f avx512_bf16x", False),
    ],
)
def test_a_processor_has_bfloat16_where_its_description_says_so(tmp_path, flags, has):
    description = tmp_path / "cpuinfo"
    description.write_text(f"processor : 0\n{flags}\n")
    assert cpu_has_bfloat16(description) is has
    assert not cpu_has_bfloat16(tmp_path / "nothing")


def test_no_preset_demands_bfloat16_of_a_machine_without_it():
    assert "mixed_bfloat16" not in {preset.model.dtype_policy for preset in PRESETS.values()}
