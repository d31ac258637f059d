"""Images on disk: NPZ files of either tool, folders of them, folders of images."""

import json

import numpy as np
import pytest

from kdiffusion.images import save_png
from kdiffusion.parts.evaluation.image_sets import open_images

LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


@pytest.fixture(params=[1, 3])
def images(request):
    return np.random.default_rng(0).integers(0, 256, (8, 4, 6, request.param), np.uint8)


def test_an_npz_is_read_as_ours_and_as_guided_diffusion_writes_it(images, tmp_path):
    settings = {"class_names": ["a", "b", "c"], "sampler": "ddim"}
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "job.json").write_text(json.dumps({"settings": settings}))
    np.savez_compressed(tmp_path / "ours" / "images_0.npz", images=images, labels=LABELS)
    np.savez(tmp_path / "theirs.npz", arr_0=images, arr_1=LABELS)
    np.savez(tmp_path / "unlabelled.npz", images)
    ours, theirs, unlabelled = (
        open_images(tmp_path / name) for name in ("ours", "theirs.npz", "unlabelled.npz")
    )
    assert (ours.class_names, ours.settings["sampler"]) == (("a", "b", "c"), "ddim")
    for found in (ours, theirs):
        np.testing.assert_array_equal(found.images, images)
        np.testing.assert_array_equal(found.labels, LABELS)
    assert unlabelled.labels is None


@pytest.mark.parametrize(
    "arrays", [{"photos": np.zeros((2, 4, 4, 3), np.uint8)}, {"images": np.zeros((2, 4, 4, 3))}]
)
def test_arrays_of_another_kind_are_refused(tmp_path, arrays):
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(ValueError, match="`images`"):
        open_images(tmp_path / "other.npz")


def test_a_folder_of_files_is_one_set(images, tmp_path):
    for name, part in (("0-4", slice(0, 5)), ("5-7", slice(5, 8))):
        np.savez(tmp_path / f"images_{name}.npz", images=images[part], labels=LABELS[part])
    found = open_images(tmp_path)
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, LABELS)
    np.testing.assert_array_equal(open_images(tmp_path, ["images_5-7.npz"]).images, images[5:])


def test_sub_folders_are_classes_and_a_flat_folder_has_none(images, tmp_path):
    for index, image in enumerate(images):
        save_png(image, tmp_path / "by_class" / f"class{LABELS[index]}" / f"{index}.png")
        save_png(image, tmp_path / "flat" / f"{index}.png")
    (tmp_path / "by_class" / ".thumbs").mkdir()
    save_png(images[0], tmp_path / "by_class" / ".thumbs" / "a.png")
    (tmp_path / "by_class" / "notes.txt").write_text("beside the classes")
    found = open_images(tmp_path / "by_class")
    assert found.class_names == ("class0", "class1", "class2")
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    np.testing.assert_array_equal(found.images, images[np.argsort(LABELS, kind="stable")])
    found = open_images(tmp_path / "flat")
    assert found.labels is None
    np.testing.assert_array_equal(found.images, images)


def test_a_subset_is_decided_by_its_seed_and_keeps_the_labels(images, tmp_path):
    np.savez(tmp_path / "ours.npz", images=images, labels=LABELS)
    part = open_images(tmp_path / "ours.npz").subset(5, seed=1)
    places = [np.flatnonzero((images == image).all(axis=(1, 2, 3)))[0] for image in part.images]
    assert places == sorted(set(places))
    np.testing.assert_array_equal(part.labels, LABELS[places])
