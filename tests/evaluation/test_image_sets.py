"""Sets of images on disk: what is written is read, in pieces, and what cannot be read is named."""

import json

import numpy as np
import pytest
from PIL import Image

from kdiffusion.evaluation import image_sets as room
from kdiffusion.evaluation.image_sets import open_images
from kdiffusion.images import FILE_ENDINGS, save_png


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(room, "BATCH_SIZE", 3)


@pytest.fixture(params=[1, 3])
def images(request):
    return np.random.default_rng(0).integers(0, 256, (8, 4, 6, request.param), np.uint8)


LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


def _all(images):
    return np.concatenate(list(images.read()))


def test_labels_are_read_from_an_npz_and_from_the_names_of_images(images, tmp_path):
    (tmp_path / "pngs").mkdir()
    for seed, (image, label) in enumerate(zip(images, LABELS, strict=True)):
        save_png(image, tmp_path / "pngs" / f"{seed:08d}_label{label}.png")
    np.savez(tmp_path / "set.npz", arr_0=images, arr_1=LABELS)  # as guided-diffusion has it
    for path in (tmp_path / "pngs", tmp_path / "set.npz"):
        found = open_images(path)
        assert (found.count, found.image_shape) == (8, images.shape[1:])
        np.testing.assert_array_equal(found.labels, LABELS)
        np.testing.assert_array_equal(_all(found), images)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_that_numpy_wrote_are_read_in_pieces(images, tmp_path, save):
    settings = {"class_names": ["a", "b", "c"], "sampler": "ddim"}
    (tmp_path / "job.json").write_text(json.dumps({"settings": settings}))
    save(tmp_path / "ours.npz", images=images, labels=LABELS)
    found = open_images(tmp_path / "ours.npz")
    assert found.class_names == ("a", "b", "c")
    assert found.settings["sampler"] == "ddim"
    assert [len(batch) for batch in found.read()] == [3, 3, 2]
    np.testing.assert_array_equal(_all(found), images)
    save(tmp_path / "theirs.npz", images)
    found = open_images(tmp_path / "theirs.npz")
    assert found.labels is None
    np.testing.assert_array_equal(_all(found), images)


def test_a_folder_of_files_is_one_set(images, tmp_path):
    for name, part in (("0-4", slice(0, 5)), ("5-7", slice(5, 8))):
        np.savez(tmp_path / f"images_{name}.npz", images=images[part], labels=LABELS[part])
    found = open_images(tmp_path)
    np.testing.assert_array_equal(_all(found), images)
    np.testing.assert_array_equal(found.labels, LABELS)
    np.testing.assert_array_equal(found.pick([7, 0, 4, 0]), images[[7, 0, 4, 0]])
    np.testing.assert_array_equal(_all(open_images(tmp_path, ["images_5-7.npz"])), images[5:])


def test_sub_folders_are_classes(images, tmp_path):
    for image, index in zip(images, range(8), strict=True):
        (tmp_path / f"class{LABELS[index]}").mkdir(exist_ok=True)
        save_png(image, tmp_path / f"class{LABELS[index]}" / f"{index}.png")
    found = open_images(tmp_path)
    assert found.class_names == ("class0", "class1", "class2")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    np.testing.assert_array_equal(_all(found), images[np.argsort(LABELS, kind="stable")])


@pytest.mark.parametrize("ending", [*FILE_ENDINGS, ".TIF"])
def test_every_kind_of_image_that_is_read_is_taken(tmp_path, ending):
    image = Image.new("1" if ending == ".pbm" else "RGB", (6, 4))
    for name in "ab":
        image.save(tmp_path / f"{name}{ending}", format="PPM" if ending == ".pnm" else None)
    found = open_images(tmp_path)
    assert (found.count, _all(found).shape[:3]) == (2, (2, 4, 6))


def test_what_is_hidden_is_passed_over_and_what_is_no_image_is_named(images, tmp_path):
    for folder in ("cat", "dog", ".thumbs"):
        (tmp_path / folder).mkdir()
        save_png(images[0], tmp_path / folder / "a.png")
    (tmp_path / "cat" / "._a.png").write_bytes(b"of macOS")
    (tmp_path / "notes.txt").write_text("beside the classes")
    found = open_images(tmp_path)
    assert (found.class_names, found.count, len(_all(found))) == (("cat", "dog"), 2, 2)
    (tmp_path / "dog" / "b.psd").write_bytes(b"")
    with pytest.raises(ValueError, match=r"b\.psd must be an image"):
        open_images(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("among images")
    with pytest.raises(ValueError, match=r"notes\.txt must be an image"):
        open_images(tmp_path / "cat")
    save_png(images[0], tmp_path / "a.png")
    with pytest.raises(ValueError, match="both"):
        open_images(tmp_path)


def test_a_subset_is_decided_by_its_seed_and_keeps_the_labels(images, tmp_path):
    np.savez(tmp_path / "ours.npz", images=images, labels=LABELS)
    whole = open_images(tmp_path / "ours.npz")
    part = whole.subset(5, seed=1)
    places = [np.flatnonzero((images == image).all(axis=(1, 2, 3)))[0] for image in _all(part)]
    assert places == sorted(places)
    assert len(set(places)) == 5
    np.testing.assert_array_equal(part.labels, LABELS[places])
    np.testing.assert_array_equal(_all(whole.subset(8)), images)
    for count in (0, 9):
        with pytest.raises(ValueError, match="from 1 to the 8 images"):
            whole.subset(count)


@pytest.mark.parametrize(
    "arrays",
    [
        {"photos": np.zeros((2, 4, 4, 3), np.uint8)},
        {"images": np.zeros((2, 4, 4, 3), np.float32)},
        {"images": np.zeros((2, 4, 4, 4), np.uint8)},
        {"images": np.zeros((0, 4, 4, 3), np.uint8)},
        {"images": np.zeros((2, 4, 4, 3), np.uint8), "labels": np.zeros(3, int)},
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(ValueError, match=r"other\.npz must hold `images` or `arr_0`"):
        open_images(tmp_path / "other.npz")


def test_damage_and_mixtures_are_refused(images, tmp_path):
    np.savez(tmp_path / "cut.npz", images=images)
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"cut\.npz"):
        open_images(tmp_path / "cut.npz")
    spoilt = bytearray(content)
    spoilt[len(content) // 2] ^= 1
    (tmp_path / "spoilt.npz").write_bytes(spoilt)
    with pytest.raises(ValueError, match=r"spoilt\.npz"):
        _all(open_images(tmp_path / "spoilt.npz"))
    with pytest.raises(ValueError, match="`source` must be a folder"):
        open_images(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither"):
        open_images(tmp_path / "empty")
    save_png(images[0], tmp_path / "empty" / "a.png")
    save_png(images[0][:2], tmp_path / "empty" / "b.png")
    with pytest.raises(ValueError, match=r"b\.png must have the shape of the first"):
        _all(open_images(tmp_path / "empty"))
