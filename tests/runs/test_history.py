import dataclasses
import platform

from kdiffusion.runs.history import (
    changed_settings,
    code_digest,
    extended,
    said_of,
    versions,
)
from kdiffusion.runs.presets import PRESETS
from kdiffusion.runs.run_directory import RESUMABLE

OLD, NEW = {"python": "3.11", "keras": "3.15"}, {"python": "3.12", "keras": "3.15"}
CHANGE = {"optimizer.epochs": {"was": 1, "is": 2}}


def test_what_may_change_is_a_setting_or_a_section():
    settings = {*changed_settings(PRESETS["digits"], PRESETS["cifar10_paper"])}
    assert "optimizer.learning_rate" in settings
    config = PRESETS["digits"]
    for name in RESUMABLE:
        part = config
        for attribute in name.split("."):
            part = getattr(part, attribute)


def test_settings_that_differ_are_named_with_both_values():
    before = PRESETS["digits"]
    optimizer = dataclasses.replace(before.optimizer, epochs=7)
    changed = changed_settings(before, dataclasses.replace(before, optimizer=optimizer))
    assert changed == {"optimizer.epochs": {"was": before.optimizer.epochs, "is": 7}}


def test_a_run_that_goes_on_unchanged_has_one_entry():
    begun = extended((), {}, 0, OLD)
    assert begun == ({"from_step": 0, "versions": OLD, "changed": {}},)
    assert extended(begun, {}, 6, OLD) == begun
    assert said_of(begun, ()) == said_of(begun, begun) == []


def test_what_changes_is_recorded_with_its_step_and_said():
    begun = extended((), {}, 0, OLD)
    changed = extended(begun, CHANGE, 6, NEW)
    assert changed[1] == {"from_step": 6, "versions": NEW, "changed": CHANGE}
    settings, version = said_of(changed, begun)
    assert settings == "From step 6 on, optimizer.epochs is 2; it was 1."
    assert version.startswith("From step 6 on, python is 3.12; it was 3.11. The run goes on")


def test_of_a_run_whose_versions_were_not_recorded_settings_alone_are_said():
    old = extended((), CHANGE, 6, NEW)
    assert said_of(old, ()) == ["From step 6 on, optimizer.epochs is 2; it was 1."]


def test_what_was_changed_in_steps_that_are_undone_holds_from_where_the_run_goes_on():
    history = extended(extended((), {}, 0, OLD), CHANGE, 9, OLD)
    assert [entry["from_step"] for entry in extended(history, {}, 4, OLD)] == [0, 4]


def test_versions_are_those_that_run_here():
    now = versions()
    assert now["python"] == platform.python_version()
    assert now["kdiffusion"] == f"code {code_digest()}"
    assert len(code_digest()) == 12
