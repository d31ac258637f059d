"""Outputs appear whole or not at all."""

import os
import resource
import subprocess
import sys

import pytest

from export.staging import refuse_existing, staged


def _write_file(path, text):
    path.write_text(text)


def _write_folder(path, text):
    path.mkdir()
    (path / "inside").write_text(text)


def _read(path):
    return (path / "inside" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("write", [_write_file, _write_folder])
def test_a_block_that_succeeds_leaves_the_output_and_nothing_else(tmp_path, write):
    with staged(tmp_path / "new" / "deep" / "output.x") as temporary:
        assert temporary.name == "output.x"
        write(temporary, "whole")
        assert not (tmp_path / "new/deep/output.x").exists()
    assert os.listdir(tmp_path / "new" / "deep") == ["output.x"]
    assert _read(tmp_path / "new" / "deep" / "output.x") == "whole"


@pytest.mark.parametrize("write", [_write_file, _write_folder])
def test_a_block_that_fails_leaves_nothing(tmp_path, write):
    def fail():
        with staged(tmp_path / "new" / "deep" / "output") as temporary:
            write(temporary, "half")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("old", [_write_file, _write_folder])
@pytest.mark.parametrize("new", [_write_file, _write_folder])
def test_an_existing_output_is_refused_then_replaced_when_told(tmp_path, old, new):
    path = tmp_path / "output"
    old(path, "old")

    def write(overwrite):
        with staged(path, overwrite) as temporary:
            new(temporary, "new")

    with pytest.raises(FileExistsError, match="--overwrite"):
        write(overwrite=False)
    assert _read(path) == "old"
    write(overwrite=True)
    assert _read(path) == "new"
    assert os.listdir(tmp_path) == ["output"]


@pytest.mark.parametrize("write", [_write_file, _write_folder])
def test_a_failed_replacement_keeps_the_old_output(tmp_path, write):
    path = tmp_path / "output"
    write(path, "old")

    def fail():
        with staged(path, overwrite=True):
            pass  # a block that made nothing

    with pytest.raises(FileNotFoundError):
        fail()
    assert _read(path) == "old"
    assert os.listdir(tmp_path) == ["output"]


def test_an_output_that_appears_meanwhile_is_kept(tmp_path):
    path = tmp_path / "output"

    def write():
        with staged(path) as temporary:
            _write_file(temporary, "mine")
            _write_file(path, "another writer's")

    with pytest.raises(FileExistsError):
        write()
    assert _read(path) == "another writer's"


def test_a_dangling_link_counts_as_existing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        refuse_existing(tmp_path / "link", overwrite=False)


def test_a_full_disk_leaves_nothing(tmp_path):
    program = (
        "import sys; from export.staging import staged\n"
        "with staged(sys.argv[1]) as path: path.write_bytes(bytes(100_000))"
    )
    limit = (10_000, 10_000)  # bytes a file may have: the write fails half way, as on a full disk
    process = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "new" / "output")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "File too large" in process.stderr
    assert os.listdir(tmp_path) == []
