"""What a run prints: a line an epoch, and what it is about to do."""

import pytest

from kdiffusion.runs.presets import PRESETS
from kdiffusion.runs.progress import EpochLines, StepCount
from kdiffusion.runs.summary import notes, settings_lines


def test_the_time_left_is_what_the_rest_of_the_run_takes_at_the_speed_so_far(capsys, monkeypatch):
    """Of three epochs of ten steps, from the eighth on; the time stands still but for this test."""
    now = [0.0]
    monkeypatch.setattr("kdiffusion.runs.progress.time.perf_counter", lambda: now[0])
    config = PRESETS["digits"].replace(**{"optimizer.epochs": 3})
    count = StepCount(8, 10, config.run)
    lines = EpochLines(config, count)
    lines.on_epoch_begin(0)
    for seconds in (60, 1):  # the first step compiles
        now[0] += seconds
        count.on_train_batch_end(0)
        lines.on_train_batch_end(0, {"loss": 0.5})
    now[0] += 9  # validation
    lines.on_epoch_end(0, {})
    assert capsys.readouterr().out.endswith("  03:20 left\n")  # 20 steps


@pytest.mark.parametrize("name", PRESETS)
def test_a_summary_of_every_preset_fits(name):
    lines = settings_lines(PRESETS[name], f"runs/{name}")
    assert f"runs/{name}" in "\n".join(lines)
    assert max(map(len, lines)) <= 80


def test_attention_that_no_map_has_is_noted_and_no_preset_has_any():
    heights = {"digits": 8, "fashion_mnist": 28, "cifar10": 32, "stl10": 64, "folder": 64}
    for config in PRESETS.values():
        assert notes(config, heights[config.data.name]) == []
    changed = PRESETS["digits"].replace(**{"model.attention_resolutions": (16, 4)})
    (note,) = notes(changed, 8)
    assert "no self-attention at heights [16]: the maps' are [8, 4]" in note
