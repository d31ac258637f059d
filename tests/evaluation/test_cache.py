"""What is kept is found again by what it was computed from, and by nothing else."""

import sys
from pathlib import Path

import numpy as np
import pytest

from kdiffusion.data.record_file import RecordFile, create, write_rows
from kdiffusion.evaluation.cache import cache_folder, cached, digest


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("KDIFFUSION_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_computed_once(folder):
    calls = []

    def compute():
        calls.append(1)
        return np.arange(6.0).reshape(2, 3)

    for _ in range(3):
        np.testing.assert_array_equal(cached("key", compute), np.arange(6.0).reshape(2, 3))
    assert len(calls) == 1
    assert len(list(folder.rglob("*"))) == 2  # a folder and a file
    assert cached("other", lambda: np.zeros(2)).tolist() == [0, 0]


def test_images_in_a_file_are_known_by_their_content_as_in_memory(tmp_path):
    rows = np.random.default_rng(0).integers(0, 256, (5000, 2, 2, 3), np.uint8)
    create(tmp_path / "rows", rows.shape)
    write_rows(tmp_path / "rows", 0, rows)
    file = RecordFile(tmp_path / "rows", rows.shape)
    assert digest(file, "x") == digest(rows, "x") == digest(np.asfortranarray(rows), "x")
    assert digest(file, "x") != digest(rows[::-1], "x")


def test_a_failure_leaves_nothing(folder):
    with pytest.raises(ZeroDivisionError):
        cached("key", lambda: 1 / 0)
    assert not list(folder.rglob("*.npy"))


def test_a_damaged_file_is_named():
    path = Path(cached("key", lambda: np.zeros(1000)).filename)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="delete it"):
        cached("key", lambda: np.zeros(1000))


def test_an_empty_file_is_computed_anew():
    path = Path(cached("key", lambda: np.zeros(10)).filename)
    path.write_bytes(b"")
    for _ in range(2):
        np.testing.assert_array_equal(cached("key", lambda: np.ones(10)), np.ones(10))


def test_a_digest_changes_with_content_type_shape_and_order():
    array = np.arange(6, dtype=np.uint8)
    digests = {
        digest(array), digest(array.reshape(2, 3)), digest(array.astype(np.int8)), digest("a", "b"),
        digest(array[::-1]), digest("ab"), digest("b", "a"), digest(array, "a"),
    }  # fmt: skip
    assert len(digests) == 8
    assert digest(array.copy()) == digest(array)


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, ".cache/kdiffusion"),
        ("linux", {"XDG_CACHE_HOME": "/else"}, "/else/kdiffusion"),
        ("darwin", {}, "Library/Caches/kdiffusion"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/kdiffusion"),
    ],
)
def test_it_lies_where_the_system_keeps_caches(monkeypatch, platform, variables, expected):
    for name in ("KDIFFUSION_CACHE_DIR", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path.home() / expected


@pytest.mark.parametrize("name", ["KDIFFUSION_CACHE_DIR", "XDG_CACHE_HOME"])
def test_a_variable_that_is_set_to_nothing_counts_as_unset(monkeypatch, name):
    monkeypatch.delenv("KDIFFUSION_CACHE_DIR")
    monkeypatch.delenv(name, raising=False)
    unset = cache_folder()
    monkeypatch.setenv(name, "")
    assert cache_folder() == unset
    assert unset.is_absolute()


def test_a_cache_that_cannot_be_written_loses_no_work(folder):
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("a file, where a folder would have to be made")
    with pytest.warns(UserWarning, match=r"cannot be written, so the same is computed again"):
        found = cached("key", lambda: np.arange(3.0))
    assert found.tolist() == [0, 1, 2]
