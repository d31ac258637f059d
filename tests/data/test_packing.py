"""Packing: from folders, tars and TFDS alike, stopped and gone on with, and nothing lost."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from kdiffusion.data import load_dataset, packing, packing_sources, training_batches
from kdiffusion.data.packed import DESCRIPTION, FILES
from kdiffusion.data.packing import UNFINISHED, pack
from kdiffusion.data.packing_sources import _Pool
from kdiffusion.data.record_file import create, write_rows


def _pixels(count, shape=(6, 6, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def _same(packed, dataset):
    for part in ("images", "labels", "validation_images", "validation_labels"):
        np.testing.assert_array_equal(getattr(packed, part)[:], getattr(dataset, part))
    assert packed.class_names == dataset.class_names
    assert packed.content_hash() == dataset.content_hash()


@pytest.fixture
def folder(write_folder):
    pixels = _pixels(40)
    files = {f"{'cat' if i % 3 else 'dog'}/{i:02d}.png": each for i, each in enumerate(pixels)}
    files["dog/00.png"] = pixels[0, :, :, 0]  # a grey one among them
    return write_folder(files)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_folder_is_packed_as_it_would_be_loaded(folder, tmp_path, processes):
    options = {"validation_fraction": 0.25, "seed": 5}
    pack(folder, tmp_path / "out", processes=processes, progress=False, **options)
    packed = load_dataset("packed", directory=tmp_path / "out")
    _same(packed, load_dataset("folder", directory=folder, **options))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert not (tmp_path / f"out{UNFINISHED}").exists()


def test_images_are_resized_as_they_would_be(folder, tmp_path):
    pack(folder, tmp_path / "out", image_size=4, processes=1, progress=False)
    packed = load_dataset("packed", directory=tmp_path / "out")
    _same(packed, load_dataset("folder", directory=folder, image_size=4))


def test_a_folder_of_grey_images_stays_grey(write_folder, tmp_path):
    folder = write_folder({f"a/{i}.png": each[..., 0] for i, each in enumerate(_pixels(5))})
    pack(folder, tmp_path / "out", processes=1, progress=False)
    packed = load_dataset("packed", directory=tmp_path / "out")
    assert packed.image_shape == (6, 6, 1)
    _same(packed, load_dataset("folder", directory=folder))


@pytest.mark.parametrize("labelled", [True, False])
def test_a_data_set_of_tfds_is_packed_as_it_would_be_loaded(store_tfds, tmp_path, labelled):
    """With a test split of its own, or with one without labels, which doesn't serve."""
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(5, 5, 3)),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
    )
    labels = np.arange(1100) % 2
    directory = store_tfds(
        "made_up", "1.0.0", features,
        {
            "train": (_pixels(1100, (5, 5, 3)), labels),
            "test": (_pixels(9, (5, 5, 3), seed=1), labels[:9] if labelled else np.full(9, -1)),
        },
    )  # fmt: skip
    pack("made_up", tmp_path / "out", directory=directory, progress=False)
    packed = load_dataset("packed", directory=tmp_path / "out")
    _same(packed, load_dataset("made_up", directory=directory))
    assert len(packed.validation_images) == (9 if labelled else 110)


def _tar(path, pixels, labels):
    with tarfile.open(path, "w") as tar:
        for index, (image, label) in enumerate(zip(pixels, labels, strict=True)):
            encoded = io.BytesIO()
            Image.fromarray(image).save(encoded, "PNG")
            for suffix, content in (("png", encoded.getvalue()), ("cls", b"%d" % label)):
                entry = tarfile.TarInfo(f"{index:04d}.{suffix}")
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def test_tars_of_webdataset_are_packed_image_by_image(tmp_path):
    pixels, labels = _pixels(30), np.arange(30) % 3
    (tmp_path / "tars").mkdir()
    for number in range(2):
        half = slice(15 * number, 15 * number + 15)
        _tar(tmp_path / "tars" / f"{number}.tar", pixels[half], labels[half])
    names = ("ant", "bee", "cow")
    pack(tmp_path / "tars", tmp_path / "out", class_names=names, processes=1, progress=False)
    packed = load_dataset("packed", directory=tmp_path / "out")
    assert packed.class_names == names
    rows = [*packed.images[:], *packed.validation_images[:]]
    found = {row.tobytes() for row in rows}
    assert found == {row.tobytes() for row in pixels}
    label_of = {row.tobytes(): label for row, label in zip(pixels, labels, strict=True)}
    together = [*packed.labels, *packed.validation_labels]
    assert [label_of[row.tobytes()] for row in rows] == together
    with pytest.raises(ValueError, match=r"classes must be from 0 to 1.*Received: 0 to 2"):
        pack(tmp_path / "tars", tmp_path / "other", class_names=("a", "b"), progress=False)
    with pytest.raises(ValueError, match="`class_names` must differ"):
        pack(tmp_path / "tars", tmp_path / "other", class_names=("a", "a", "b"), progress=False)
    with pytest.raises(ValueError, match="`directory` is for a data set that is named"):
        pack(tmp_path / "tars", tmp_path / "other", directory=tmp_path, progress=False)
    _tar(tmp_path / "ids.tar", pixels[:2], [0, 99999999999])
    with pytest.raises(ValueError, match=r"below 131,072; .* Received: 99999999999"):
        pack(tmp_path / "ids.tar", tmp_path / "other", processes=1, progress=False)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_while_packing_it_goes_on(write_folder, tmp_path):
    folder = write_folder(
        {f"{i % 2}/{i:04d}.png": each for i, each in enumerate(_pixels(3000, (48, 48, 3)))}
    )
    out, work = tmp_path / "out", tmp_path / f"out{UNFINISHED}"
    command = [sys.executable, "-m", "kdiffusion", "pack", str(folder), "--out", str(out)]
    done = work / "done"
    for pieces in (1, 3):
        process = subprocess.Popen([*command, "--processes", "1"], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not (done.exists() and done.read_text().count("\n") >= pieces):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
    before = done.read_text().splitlines()
    with pytest.raises(ValueError, match="unfinished packing of another source, or with other"):
        pack(folder, out, image_size=8, progress=False)
    with done.open("a") as file:
        file.write("train 1024 5")  # a line that was cut
    pack(folder, out, processes=1, progress=False)
    assert len(before) >= 3
    _same(load_dataset("packed", directory=out), load_dataset("folder", directory=folder))


def _children(number):
    with open(f"/proc/{number}/task/{number}/children") as file:
        return file.read().split()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_it_leaves_no_process_that_would_write(write_folder, tmp_path):
    folder = write_folder(
        {f"{i % 2}/{i:04d}.png": each for i, each in enumerate(_pixels(3000, (64, 64, 3)))}
    )
    command = [sys.executable, "-m", "kdiffusion", "pack", str(folder), "--processes", "2"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL
    )
    deadline, done = time.monotonic() + 120, tmp_path / f"out{UNFINISHED}" / "done"
    while not (done.exists() and done.read_text()):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = _children(process.pid)
    assert len(children) >= 2
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{child}") for child in children):
        assert time.monotonic() < deadline, "a process goes on"
        time.sleep(0.05)


def test_a_file_at_fault_is_named_and_what_was_done_is_kept(folder, tmp_path):
    (folder / "dog" / "39.png").unlink()
    Image.fromarray(_pixels(1, (7, 6, 3))[0]).save(folder / "dog" / "39.png")
    with pytest.raises(ValueError, match=r"39\.png is 6x7 where the first is 6x6"):
        pack(folder, tmp_path / "out", processes=1, progress=False)
    Image.fromarray(_pixels(1, (6, 6, 3))[0]).save(folder / "dog" / "39.png")
    pack(folder, tmp_path / "out", processes=1, progress=False)
    _same(
        load_dataset("packed", directory=tmp_path / "out"), load_dataset("folder", directory=folder)
    )


def test_a_file_that_is_no_image_is_named_before_packing_begins(write_folder, tmp_path):
    pixels = _pixels(40, (6, 6))
    grey = write_folder({f"{'cat' if i % 2 else 'dog'}/{i}.png": p for i, p in enumerate(pixels)})
    good = (grey / "dog" / "38.png").read_bytes()
    deep = io.BytesIO()
    Image.fromarray(np.full((6, 6), 40000, np.uint16)).save(deep, "PNG")
    for bad, said in (
        (b"no image", "cannot be read as an image"),
        (deep.getvalue(), "must have 8 bits"),
    ):
        (grey / "dog" / "38.png").write_bytes(bad)
        with pytest.raises(ValueError, match=rf"38\.png {said}"):
            pack(grey, tmp_path / "out", processes=1, progress=False)
        assert not list(tmp_path.glob("out*"))
    (grey / "dog" / "38.png").write_bytes(good)
    pack(grey, tmp_path / "out", processes=1, progress=False)
    assert load_dataset("packed", directory=tmp_path / "out").image_shape == (6, 6, 1)


def test_an_image_that_got_colours_since_packing_began_is_named(write_folder, tmp_path):
    pixels = _pixels(40, (6, 6))
    folder = write_folder({f"a/{i:02d}.png": each for i, each in enumerate(pixels)})
    good = (folder / "a" / "38.png").read_bytes()
    (folder / "a" / "38.png").write_bytes(good[:60])  # of which the header can be read
    with pytest.raises(ValueError, match=r"38\.png cannot be read as an image"):
        pack(folder, tmp_path / "out", processes=1, progress=False)
    Image.fromarray(_pixels(1)[0]).save(folder / "a" / "38.png")
    with pytest.raises(ValueError, match=r"38\.png has colours, and all images were grey"):
        pack(folder, tmp_path / "out", processes=1, progress=False)
    (folder / "a" / "38.png").write_bytes(good)
    pack(folder, tmp_path / "out", processes=1, progress=False)
    assert load_dataset("packed", directory=tmp_path / "out").image_shape == (6, 6, 1)


def test_only_a_packed_folder_is_replaced(folder, tmp_path):
    out = tmp_path / "out"
    pack(folder, out, processes=1, progress=False)
    with pytest.raises(FileExistsError, match="--overwrite"):
        pack(folder, out, processes=1, progress=False)
    pack(folder, out, image_size=4, processes=1, overwrite=True, progress=False)
    assert load_dataset("packed", directory=out).image_shape == (4, 4, 3)


def test_what_is_packed_stays_where_its_place_was_taken_meanwhile(folder, tmp_path, monkeypatch):
    out, content_hash = tmp_path / "out", packing._content_hash

    def take(*arguments):
        out.mkdir()
        return content_hash(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_content_hash", take)
        with pytest.raises(FileExistsError, match="--overwrite"):
            pack(folder, out, processes=1, progress=False)
    out.rmdir()
    monkeypatch.delattr(packing, "create")  # with which packing begins
    pack(folder, out, processes=1, progress=False)
    _same(load_dataset("packed", directory=out), load_dataset("folder", directory=folder))


def test_a_place_inside_the_source_is_refused(folder, tmp_path):
    (tmp_path / "tars").mkdir()
    _tar(tmp_path / "tars" / "0.tar", _pixels(8), np.arange(8) % 2)
    (tmp_path / "link").symlink_to(folder)
    for source, directory, out in (
        (folder, None, folder / "out"),
        (folder, None, tmp_path / "link" / "dog" / "out"),
        ("folder", folder, folder / "out"),
        (tmp_path / "tars", None, tmp_path / "tars" / "out"),
    ):
        with pytest.raises(ValueError, match=r"`out` must lie outside of .*Received: out="):
            pack(source, out, directory=directory, processes=1, progress=False)
    assert sorted(path.name for path in folder.iterdir()) == ["cat", "dog"]
    pack(tmp_path / "tars" / "0.tar", tmp_path / "tars" / "out", processes=1, progress=False)


def test_an_unfinished_folder_that_is_not_ours_stays(folder, tmp_path):
    work = tmp_path / f"out{UNFINISHED}"
    work.mkdir()
    (work / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="packing did not write"):
        pack(folder, tmp_path / "out", processes=1, progress=False)
    assert (work / "mine.txt").exists()


def test_arguments_that_mean_nothing_are_refused(folder, tmp_path):
    for arguments, said in (
        ({"class_names": ("a",)}, "`class_names` are for WebDataset tars"),
        ({"validation_fraction": 1.0}, "`validation_fraction` must be above 0 and below 1"),
        ({"validation_fraction": -0.3}, "`validation_fraction` must be above 0 and below 1"),
        ({"seed": -1}, "`seed` must not be negative"),
        ({"image_size": 0}, "`image_size` must be"),
        ({"processes": 0}, "`processes` must be at least 1"),
    ):
        with pytest.raises(ValueError, match=said):
            pack(folder, tmp_path / "out", progress=False, **arguments)
    assert not list(tmp_path.glob("out*"))
    pack(folder, tmp_path / "out", processes=1, progress=False)
    with pytest.raises(ValueError, match="`source` must not be packed already"):
        pack(tmp_path / "out", tmp_path / "again", progress=False)


END = """
import sys
from kdiffusion.data import load_dataset, training_batches
dataset = load_dataset("packed", directory=sys.argv[1])
iterators = [iter(training_batches(dataset, 16, seed=seed)) for seed in range(8)]
for iterator in iterators: next(iterator)
"""


def test_a_program_can_end_while_batches_are_read(folder, tmp_path):
    """Readers that needed Python's lock would wait for it at the end, and the end for them."""
    pack(folder, tmp_path / "out", processes=1, progress=False)
    subprocess.run([sys.executable, "-c", END, str(tmp_path / "out")], check=True, timeout=300)


def test_a_changed_pixel_stops_the_reading(folder, tmp_path):
    pack(folder, tmp_path / "out", processes=1, progress=False)
    path = tmp_path / "out" / "train_images.tfrecord"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    dataset = load_dataset("packed", directory=tmp_path / "out")
    with pytest.raises(tf.errors.DataLossError, match="corrupted record"):
        next(iter(training_batches(dataset, len(dataset.images), seed=0)))
    with pytest.raises(ValueError, match=r"train_images\.tfrecord: record 0 is damaged"):
        dataset.images[:]


def test_a_noted_piece_that_a_power_cut_took_is_not_packed(folder, tmp_path, monkeypatch):
    write, out = packing_sources.write_rows, tmp_path / "out"
    lost = {"validation_images.tfrecord"}

    def write_to_the_disk(path, first, rows):
        if Path(path).name not in lost:
            write(path, first, rows)

    with monkeypatch.context() as patch:
        patch.setattr(packing_sources, "write_rows", write_to_the_disk)
        with pytest.raises(ValueError, match=r"validation_images\.tfrecord: record 0 is damaged"):
            pack(folder, out, processes=1, progress=False)
    assert not out.exists()
    with pytest.raises(ValueError, match="Remove the folder, and pack"):  # it was noted as done
        pack(folder, out, processes=1, progress=False)


def test_killed_when_all_is_packed_it_is_there(folder, tmp_path, monkeypatch):
    unlink = Path.unlink

    def killed(path, *options):
        if path.name in ("plan.json", "done"):
            raise KeyboardInterrupt
        unlink(path, *options)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        pack(folder, tmp_path / "out", processes=1, progress=False)
    monkeypatch.setattr(Path, "unlink", unlink)
    assert len(load_dataset("packed", directory=tmp_path / "out").images) > 0
    pack(folder, tmp_path / "out", image_size=4, processes=1, overwrite=True, progress=False)
    assert load_dataset("packed", directory=tmp_path / "out").image_shape == (4, 4, 3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(FILES)


def _die(task):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_decoder_that_is_killed_is_told():
    with pytest.raises(MemoryError, match="fewer `--processes`"), _Pool(2) as run:
        list(run(_die, [1, 2]))


MEASURE = """
import sys
from kdiffusion.data import load_dataset, training_batches
def resident():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
dataset = load_dataset("packed", directory=sys.argv[1])
batches = iter(training_batches(dataset, 128, seed=0))
for _ in range(20): next(batches)
before = resident()
for _ in range(3 * len(dataset.images) // 128): next(batches)
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="/proc, which is Linux's")
def test_memory_does_not_grow_with_the_data(tmp_path):
    """Three passes over 236 MB of images: an array in memory, or a map of it, would add them."""
    tars = tmp_path / "x.tar"
    _tar(tars, _pixels(12, (64, 64, 3)), np.arange(12) % 2)
    pack(tars, tmp_path / "out", processes=1, progress=False)
    images = 20_000
    path = tmp_path / "out" / "train_images.tfrecord"
    create(path, (images, 64, 64, 3))
    for first in range(0, images, 1000):
        write_rows(path, first, _pixels(1000, (64, 64, 3), seed=first))
    np.save(tmp_path / "out" / "train_labels.npy", np.zeros(images, np.int32))
    description = tmp_path / "out" / DESCRIPTION
    content = json.loads(description.read_text())
    content["images"]["train"] = images
    description.write_text(json.dumps(content))
    grown = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "out")],
        check=True, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert float(grown.stdout.split()[-1]) < 60  # MiB
