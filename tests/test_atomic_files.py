"""Outputs appear whole or not at all, and replace only regular files and folders with our mark."""

import os
import stat

import pytest

from kdiffusion.atomic_files import staged

MARK = "inside"


def _write_file(path, text):
    path.write_text(text)


def _write_folder(path, text):
    path.mkdir()
    (path / MARK).write_text(text)


KINDS = [(_write_file, None), (_write_folder, MARK)]


def _read(path):
    return (path / MARK if path.is_dir() else path).read_text()


@pytest.mark.parametrize(("write", "mark"), KINDS)
@pytest.mark.parametrize("name", ["output.x", "ö" * 127])  # 255 bytes are the most
def test_a_block_that_succeeds_leaves_the_output_and_nothing_else(tmp_path, write, mark, name):
    folder = tmp_path / "new" / "deep"
    with staged(folder / name, mark=mark) as temporary:
        assert temporary.name == name
        write(temporary, "whole")
        assert not (folder / name).exists()
    assert os.listdir(folder) == [name]
    assert _read(folder / name) == "whole"


@pytest.mark.parametrize(("write", "mark"), KINDS)
def test_an_existing_output_is_refused_then_replaced(tmp_path, write, mark):
    path = tmp_path / "output"
    write(path, "old")
    with pytest.raises(FileExistsError, match="--overwrite"), staged(path, mark=mark):
        pass
    assert _read(path) == "old"
    with staged(path, overwrite=True, mark=mark) as temporary:
        write(temporary, "new")
    assert _read(path) == "new"
    assert os.listdir(tmp_path) == ["output"]


@pytest.mark.parametrize(("write", "mark"), KINDS)
@pytest.mark.parametrize("error", [RuntimeError, FileNotFoundError])
def test_a_block_that_fails_leaves_the_old_output(tmp_path, write, mark, error):
    path = tmp_path / "output"
    write(path, "old")

    def fail():
        with staged(path, True, mark) as temporary:
            if error is RuntimeError:  # else the block writes nothing, and the rename fails
                write(temporary, "half")
                raise error

    with pytest.raises(error):
        fail()
    assert _read(path) == "old"
    assert os.listdir(tmp_path) == ["output"]


def test_an_interrupt_between_the_two_renames_puts_the_old_folder_back(tmp_path, monkeypatch):
    def interrupted(*paths):
        raise KeyboardInterrupt

    _write_folder(tmp_path / "output", "old")
    monkeypatch.setattr("kdiffusion.atomic_files.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt), staged(tmp_path / "output", True, MARK) as temporary:
        _write_folder(temporary, "new")
    assert _read(tmp_path / "output") == "old"
    assert os.listdir(tmp_path) == ["output"]


def test_an_output_that_appears_meanwhile_is_kept(tmp_path):
    def write():
        with staged(tmp_path / "output") as temporary:
            _write_file(temporary, "mine")
            _write_file(tmp_path / "output", "another writer's")

    with pytest.raises(FileExistsError):
        write()
    assert _read(tmp_path / "output") == "another writer's"


def _link(path, target):
    target(path.with_name("target"))
    path.symlink_to("target")


FOREIGN = {
    "empty folder": lambda path: path.mkdir(),
    "folder of others": lambda path: (path / ".git").mkdir(parents=True),
    "link to a file": lambda path: _link(path, lambda target: target.write_text("mine")),
    "link to our folder": lambda path: _link(path, lambda target: _write_folder(target, "mine")),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "pipe": os.mkfifo,
}


@pytest.mark.parametrize("mark", [None, MARK])
@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_what_we_did_not_write_is_not_replaced(tmp_path, make, mark):
    def state():
        return {
            path: (path.lstat().st_ino, stat.S_ISREG(path.lstat().st_mode) and path.read_bytes())
            for path in tmp_path.rglob("*")
        }

    path = tmp_path / "output"
    make(path)
    before = state()
    with pytest.raises(FileExistsError, match=str(path)), staged(path, True, mark):
        pass
    assert state() == before
