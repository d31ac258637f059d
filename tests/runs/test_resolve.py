from pathlib import Path

import pytest

from kdiffusion.runs.presets import PRESETS
from kdiffusion.runs.resolve import resolve
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.training.objectives import Trajectory

DIGITS = PRESETS["digits"]


@pytest.mark.parametrize(
    ("asked", "begun", "is_begun"),
    [
        ({"dtype_policy": "auto"}, {"dtype_policy": "mixed_bfloat16"}, True),
        ({"dtype_policy": "float32"}, {"dtype_policy": "mixed_bfloat16"}, False),
        (
            {"network": "parent", "dropout": 0.5, "dtype_policy": "auto"},
            {"network": "unet2d", "dropout": 0.5, "dtype_policy": "float32"},
            True,
        ),
    ],
)
def test_the_same_words_mean_what_they_meant_when_the_run_began(asked, begun, is_begun):
    """So that the same command, with --resume, goes on."""
    now, before = (
        DIGITS.replace(
            **{"run.init_from": "x"}, **{f"model.{name}": value for name, value in values.items()}
        )
        for values in (asked, begun)
    )
    directory = RunDirectory(Path("run"), before, (8, 8, 1), ("a", "b"), 40)
    assert resolve(now, directory, None, (8, 8, 1)) == (before if is_begun else now)


def test_a_student_is_resumed_with_the_guidance_that_its_teacher_had():
    """The file of the teacher may be gone."""
    asked = PRESETS["digits_few_steps"].replace(**{"model.dtype_policy": "float32"})
    guided = {"objective.guidance_strength": 2.0, "objective.timesteps": (999, 749, 499, 249)}
    begun = asked.replace(**{"model.network": "unet", **guided})
    directory = RunDirectory(Path("run"), begun, (8, 8, 1), ("a", "b"), 40)
    assert resolve(asked, directory, None, (8, 8, 1)) == begun
    with pytest.raises(ValueError, match=r"sampling\.timesteps"):
        Trajectory().resolved(DIGITS.sampling, None)
