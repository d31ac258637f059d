"""A packed data set is the data set: the same batches, from the disk; and what is refused."""

import json
import shutil

import numpy as np
import pytest

from kdiffusion.data import load_dataset, look_up_dataset, training_batches, validation_batches
from kdiffusion.data.packing import pack
from kdiffusion.runs import PRESETS, Config, train


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The digits, packed."""
    out = tmp_path_factory.mktemp("packed") / "digits"
    pack("digits", out, progress=False)
    return out


def _take(batches, count):
    return [tuple(part.numpy() for part in batch) for batch in batches.take(count)]


def _same(one, other):
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a, b, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("options", [{}, {"flip": True, "first_step": 37, "shard": (1, 4)}])
def test_training_batches_are_those_of_the_data_set_in_memory(packed, options):
    """To the bit, whatever the step that a run goes on from."""
    in_memory, on_disk = load_dataset("digits"), load_dataset("packed", directory=packed)
    batches = [training_batches(dataset, 64, seed=3, **options) for dataset in (in_memory, on_disk)]
    assert batches[0].element_spec == batches[1].element_spec
    _same(*(_take(each, 30) for each in batches))


def test_validation_batches_are_too(packed):
    _same(
        *(
            list(_take(validation_batches(dataset, 50), -1))
            for dataset in (load_dataset("digits"), load_dataset("packed", directory=packed))
        )
    )


def test_it_is_known_by_the_same_content(packed):
    in_memory, on_disk = load_dataset("digits"), load_dataset("packed", directory=packed)
    assert on_disk.content_hash() == in_memory.content_hash()
    assert on_disk.class_names == in_memory.class_names
    assert look_up_dataset("packed", directory=packed) == (1617, 10)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 2}, "of a newer kdiffusion"),
        ({"images": {"train": 1617}}, "validation"),
        ({"images": {"train": 1616, "validation": 180}}, r"must hold 1616 records"),
        ({"image_shape": [8, 8]}, "whole numbers above 0"),
        ({"class_names": [1]}, "class names must be texts"),
        ({"horizontal_flip": 1}, "true or false"),
        ({"content_hash": None}, "`content_hash` must be a text"),
    ],
)
def test_a_damaged_description_is_refused(packed, change, said):
    path = packed / "packed.json"
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text) | change))
    try:
        with pytest.raises(ValueError, match=said):
            load_dataset("packed", directory=packed)
    finally:
        path.write_text(text)


def test_what_is_no_packed_folder_is_refused(packed, tmp_path):
    with pytest.raises(ValueError, match="`directory` must be given for 'packed'"):
        load_dataset("packed")
    with pytest.raises(ValueError, match="must be a folder that `python -m kdiffusion pack` wrote"):
        load_dataset("packed", directory=tmp_path)
    with pytest.raises(ValueError, match=r"pack .* again: its images are of 8x8"):
        load_dataset("packed", directory=packed, image_size=16)
    load_dataset("packed", directory=packed, image_size=8)
    load_dataset("packed", directory=packed, image_size=(8, 8))


@pytest.mark.slow
def test_a_run_trains_on_it_as_on_the_data_set_in_memory(packed, tmp_path):
    content = json.loads(PRESETS["digits"].to_json())
    content["model"].update(
        base_channels=4, channel_multipliers=[1], attention_resolutions=[], dtype_policy="float32"
    )
    content["optimizer"].update(epochs=1, batch_size=256)
    content["sampling"].update(steps=2)
    weights = []
    for name, directory in (("digits", None), ("packed", str(packed))):
        content["data"].update(name=name, directory=directory)
        run = train(Config.from_json(json.dumps(content)), tmp_path / name)
        weights.append(run.model.network.get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
    damaged = shutil.copytree(packed, tmp_path / "damaged")
    content["data"].update(directory=str(damaged))
    file = damaged / "train_images.tfrecord"
    changed = bytearray(file.read_bytes())
    changed[40] ^= 1
    file.write_bytes(changed)
    with pytest.raises(ValueError, match=r"The packed data in .*damaged have an image that is dam"):
        train(Config.from_json(json.dumps(content)), tmp_path / "run")
