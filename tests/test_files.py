"""Outputs appear whole or not at all, replace only what is ours, and outlive killed writers."""

import errno
import os
import re
import resource
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kdiffusion.files import PARTIAL, held, mend, refuse_existing, refuse_foreign, staged


def _write_file(path, text):
    path.write_text(text)


def _write_folder(path, text):
    path.mkdir()
    (path / "inside").write_text(text)


def _ours(folder):
    return "inside" if (folder / "inside").is_file() else None


# How each kind of output is written, and how its folder is known.
KINDS = [(_write_file, None), (_write_folder, _ours)]


def _read(path):
    return (path / "inside" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("write", [_write_file, _write_folder])
@pytest.mark.parametrize("name", ["output.x", "o" * 255, "ö" * 127])  # 255 bytes are the most
def test_a_block_that_succeeds_leaves_the_output_and_nothing_else(tmp_path, write, name):
    with staged(tmp_path / "new" / "deep" / name) as temporary:
        assert temporary.name == name
        write(temporary, "whole")
        assert not (tmp_path / "new" / "deep" / name).exists()
    assert os.listdir(tmp_path / "new" / "deep") == [name]
    assert _read(tmp_path / "new" / "deep" / name) == "whole"


@pytest.mark.parametrize("write", [_write_file, _write_folder])
def test_a_block_that_fails_leaves_nothing(tmp_path, write):
    def fail():
        with staged(tmp_path / "new" / "deep" / "output") as temporary:
            write(temporary, "half")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        fail()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("kind", "ours"), KINDS)
@pytest.mark.parametrize("durable", [False, True])
def test_an_existing_output_is_refused_then_replaced_when_told(tmp_path, kind, ours, durable):
    path = tmp_path / "output"
    kind(path, "old")

    def write(overwrite):
        with staged(path, overwrite, ours, durable) as temporary:
            kind(temporary, "new")

    with pytest.raises(FileExistsError, match="--overwrite"):
        write(overwrite=False)
    assert _read(path) == "old"
    write(overwrite=True)
    assert _read(path) == "new"
    assert os.listdir(tmp_path) == ["output"]


@pytest.mark.parametrize(("write", "ours"), KINDS)
def test_a_failed_replacement_keeps_the_old_output(tmp_path, write, ours):
    path = tmp_path / "output"
    write(path, "old")

    def fail():
        with staged(path, True, ours):
            pass  # a block that made nothing

    with pytest.raises(FileNotFoundError):
        fail()
    assert _read(path) == "old"
    assert os.listdir(tmp_path) == ["output"]


@pytest.mark.parametrize("fails", [{1}, {2}, {2, 3}])  # set aside, take the place, put back
def test_a_replacement_that_is_interrupted_keeps_the_old_folder(tmp_path, monkeypatch, fails):
    path, rename, calls = tmp_path / "output", os.rename, []
    _write_folder(path, "old")

    def interrupted(*paths):
        calls.append(paths)
        if len(calls) in fails:
            raise KeyboardInterrupt
        rename(*paths)

    monkeypatch.setattr("kdiffusion.files.os.rename", interrupted)
    with pytest.raises(KeyboardInterrupt), staged(path, True, _ours) as temporary:
        _write_folder(temporary, "new")
    monkeypatch.undo()
    if 3 in fails:  # it waits, unlocked, for whoever looks next
        mend(tmp_path)
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
        "import sys; from kdiffusion.files import staged\n"
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


def _file(path):
    path.write_text("mine")


def _empty_folder(path):
    path.mkdir()


def _folder_of_another(path):
    (path / "deep").mkdir(parents=True)
    (path / "deep" / "notes").write_text("mine")


def _folder_with_more(path):
    _write_folder(path, "ours")
    (path / ".git").mkdir()
    (path / ".git" / "HEAD").write_text("mine")


def _folder_with_a_link(path):
    _write_folder(path, "ours")
    (path / "link").symlink_to(path.parent)


def _link_to_a_file(path):
    path.with_name("aim").write_text("mine")
    path.symlink_to("aim")


def _link_to_a_folder(path):
    _write_folder(path.with_name("aim"), "ours")
    path.symlink_to("aim")


def _dangling_link(path):
    path.symlink_to("nowhere")


def _pipe(path):
    os.mkfifo(path)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(path.parent)  # the name of a socket may not be long
        server.bind(path.name)


FOREIGN = [
    _empty_folder, _folder_of_another, _folder_with_more, _folder_with_a_link, _link_to_a_file,
    _link_to_a_folder, _dangling_link, _pipe, _socket,
]  # fmt: skip


def _state(folder):
    """Every path below a folder, its kind and what it holds; links are not followed."""
    return {
        str(path): (stat.S_IFMT(path.lstat().st_mode), path.read_bytes() if _is_file(path) else b"")
        for path in sorted(folder.rglob("*"))
    }


def _is_file(path):
    return stat.S_ISREG(path.lstat().st_mode)


@pytest.mark.parametrize(("write", "ours"), KINDS)
@pytest.mark.parametrize("foreign", [*FOREIGN, _file])
def test_what_is_not_ours_is_not_replaced(tmp_path, monkeypatch, write, ours, foreign):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "output"
    foreign(path)
    before = _state(tmp_path)

    def replace():
        with staged(path, True, ours) as temporary:
            write(temporary, "new")

    if foreign is _file and ours is None:
        replace()
        assert _read(path) == "new"
        return
    with pytest.raises(FileExistsError, match=re.escape(str(path))):
        replace()
    assert _state(tmp_path) == before


@pytest.mark.parametrize("foreign", [_folder_with_more, _folder_with_a_link, _link_to_a_folder])
def test_a_folder_that_holds_more_is_told_by_what_it_holds(tmp_path, foreign):
    foreign(tmp_path / "output")
    with pytest.raises(FileExistsError, match=r"HEAD|symbolic link"):
        refuse_foreign(tmp_path / "output", "inside")


# Writes `output`, and is killed at a call of one of the functions that a write is made of.
_KILLED = """
import os, shutil, sys
from pathlib import Path
from kdiffusion import files

module, function, number = {"os": os, "shutil": shutil}[sys.argv[2]], sys.argv[3], int(sys.argv[4])
before, calls = getattr(module, function), []

def counted(*arguments, **options):
    calls.append(arguments)
    if len(calls) == number:
        os.kill(os.getpid(), 9)
    return before(*arguments, **options)

setattr(module, function, counted)
with files.staged(sys.argv[1], True, lambda folder: "inside") as path:
    path.mkdir()
    (path / "inside").write_text("new")
"""


@pytest.mark.parametrize(
    ("module", "function", "number", "left"),
    [
        ("os", "mkdir", 3, "old"),  # nothing is written yet
        ("os", "rename", 1, "old"),  # the new folder is written
        ("os", "rename", 2, None),  # the old one is set aside, the new one not yet there
        ("shutil", "rmtree", 1, "new"),  # the new one is there, the old one not removed
        ("os", "unlink", 1, "new"),  # the old one is half removed
    ],
)
def test_what_a_killed_process_left_is_mended_by_the_next(tmp_path, module, function, number, left):
    path = tmp_path / "output"
    _write_folder(path, "old")
    command = [sys.executable, "-c", _KILLED, str(path), module, function, str(number)]
    assert subprocess.run(command, check=False).returncode == -9
    assert list(tmp_path.glob(f".*{PARTIAL}"))
    assert (_read(path) if path.exists() else None) == left
    with pytest.raises(FileExistsError):
        refuse_existing(path)
    assert os.listdir(tmp_path) == ["output"]
    assert _read(path) == (left or "old")


def test_what_is_being_written_is_no_leftover(tmp_path):
    with staged(tmp_path / "a") as temporary:
        mend(tmp_path)
        with staged(tmp_path / "b") as other:
            _write_file(other, "b")
        _write_file(temporary, "a")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_what_another_machine_left_waits_for_a_day(tmp_path):
    leftover = tmp_path / f".a.12345678{PARTIAL}"
    (leftover / "old").mkdir(parents=True)
    (leftover / "lock").write_text("another machine")
    mend(tmp_path)
    assert leftover.exists()
    os.utime(leftover, (0, 0))
    mend(tmp_path)
    assert os.listdir(tmp_path) == []


def test_what_was_killed_before_it_had_its_lock_waits_for_a_day(tmp_path):
    leftover = tmp_path / f".a.12345678{PARTIAL}"
    leftover.mkdir()
    mend(tmp_path)
    assert leftover.exists()
    os.utime(leftover, (0, 0))
    mend(tmp_path)
    assert os.listdir(tmp_path) == []


# Writes files into one folder as others do, and looks there for leftovers all the time.
_AMONG_OTHERS = """
import sys
from pathlib import Path
from kdiffusion import files

folder, number = sys.argv[1:]
for i in range(400):
    files._mend_once.cache_clear()
    with files.staged(f"{folder}/{number}_{i}") as path:
        path.write_text("whole")
"""


def test_a_lock_that_cannot_be_made_is_told(tmp_path, monkeypatch):
    def no_descriptor(path, *arguments):
        raise OSError(errno.EMFILE, "Too many open files", str(path))

    monkeypatch.setattr("kdiffusion.files.os.open", no_descriptor)
    with pytest.raises(OSError, match="Too many open files"), staged(tmp_path / "x"):
        pass
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_processes_that_write_into_one_folder_leave_each_other_alone(tmp_path):
    commands = [
        [sys.executable, "-c", _AMONG_OTHERS, str(tmp_path), str(number)] for number in range(6)
    ]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait() for process in processes] == [0] * 6
    assert len(os.listdir(tmp_path)) == 6 * 400
    assert not list(tmp_path.glob(".*"))


def test_folders_of_others_with_such_names_stay(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / f".a{PARTIAL}").symlink_to("folder")
    (tmp_path / f".b{PARTIAL}").write_text("mine")
    before = _state(tmp_path)
    mend(tmp_path)
    assert _state(tmp_path) == before


@pytest.mark.parametrize(
    "url", ["s3://bucket/images.png", Path("s3://bucket/a"), "hf://owner/name"]
)
def test_a_url_is_no_path(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = pytest.raises(FileExistsError, match="is a URL, and this is written to this machine")
    with refused, staged(url) as place:
        place.write_text("lost")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("nameless", [".", "..", "inside/..", "/"])
def test_a_folder_without_a_name_of_its_own_is_not_replaced(nameless, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileExistsError, match=r"has no name of its own.*Name it from outside"):
        refuse_existing(nameless, True, lambda folder: ".*")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("file/new/output", "file is a file, not a folder"),
        ("lost/output", "lost is a symbolic link, not a folder"),
        ("o" * 256, "255 bytes long at most. Received: one of 256"),
        ("new/" + "ö" * 128 + "/output", "255 bytes long at most. Received: one of 256"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused(tmp_path, name, said):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError, match=said):
        refuse_existing(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["file", "lost"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc, where not even root can write")
def test_a_folder_that_takes_no_file_is_refused():
    with pytest.raises(OSError, match=r"/proc/new/output cannot be written: in /proc, No such"):
        refuse_existing("/proc/new/output")


def test_a_folder_is_held_by_one_process_until_that_ends(tmp_path):
    program = (
        "import sys; from kdiffusion.files import held\n"
        "with held(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(FileExistsError, match="Another process is at work in "), held(tmp_path):
            pass
        process.kill()
    with held(tmp_path):
        pass
    with pytest.raises(FileExistsError, match="Another process"), held(tmp_path / "moved"):
        pass
    assert os.listdir(tmp_path) == []
