"""Parts of a run by themselves, without a training."""

import types

import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.data import load_dataset, training_batches
from kdiffusion.runs import run as run_module
from kdiffusion.runs.config import epochs_between
from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.runs.strategy import make_strategy


def test_a_run_trains_on_the_split_and_the_mirroring_that_were_asked_for(tiny):
    asked = {"validation_fraction": 0.2, "horizontal_flip": True}
    config = tiny(data=asked, run={"seed": 5}, optimizer={"batch_size": 64})
    dataset = run_module._load_dataset(config)
    digits = load_dataset("digits", seed=5, validation_fraction=0.2)
    assert dataset.content_hash() == digits.content_hash()
    given = []
    model = types.SimpleNamespace(fit=lambda batches, **_: given.append(next(iter(batches))))
    run_module._fit(model, make_strategy("one_device"), dataset, config, 0, [])
    expected = next(iter(training_batches(digits, 64, seed=5, flip=True)))
    for one, other in zip(given[0], expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_run_goes_on_neither_mirrored_nor_unmirrored_where_it_was_not(tiny, tmp_path):
    """The data set says so, where the settings don't: a packed folder's may change."""
    digits, config = load_dataset("digits"), tiny()
    begun = RunDirectory(
        tmp_path, config, digits.image_shape, digits.class_names, len(digits.images), None, True
    )
    begun.write()
    with pytest.raises(ValueError, match=r"must keep its data\. Received: mirrored was True, "):
        run_module.train(config, tmp_path, resume=True)


def test_about_forty_epochs_are_validated_and_all_that_write_a_checkpoint(tiny):
    for epochs, every, checkpoints in ((1, None, 1), (7, None, 9), (100, None, 30), (100, 7, 11)):
        config = tiny(
            optimizer={"epochs": epochs},
            run={"validate_every_epochs": every, "checkpoint_every_epochs": checkpoints},
        )
        numbers = run_module.validated_epochs(config)
        assert numbers[-1] == epochs
        assert set(range(checkpoints, epochs + 1, checkpoints)) <= set(numbers)
        assert set(range(every or 2, epochs + 1, every or 2)) <= set(numbers) or epochs < 80
    assert run_module.validated_epochs(tiny(optimizer={"epochs": 40})) == list(range(1, 41))
    many = tiny(optimizer={"epochs": 120}, run={"checkpoint_every_epochs": 30})
    assert run_module.validated_epochs(many) == list(range(3, 121, 3))


def test_a_long_run_of_short_epochs_draws_and_saves_about_forty_times():
    assert [epochs_between(None, epochs) for epochs in (1, 14, 79, 80, 500)] == [1, 1, 1, 2, 12]
    assert epochs_between(7, 500) == 7


def test_too_little_memory_is_told_with_what_needs_less_and_a_full_disk_is_not_taken_for_it():
    def fail(message):
        with run_module._telling_what_saves_memory():
            raise tf.errors.ResourceExhaustedError(None, None, message)

    with pytest.raises(MemoryError, match=r"gradient-accumulation N.*said: OOM when"):
        fail("Graph execution error:\n\nOOM when allocating tensor with shape[128,64]\nand a trace")
    with pytest.raises(tf.errors.ResourceExhaustedError):
        fail("/run/state.data: No space left on device")


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"seed": 0, "validation_fraction": 0.1, "sha256": "a" * 64}, []),
        ({"seed": 0, "validation_fraction": 0.1, "sha256": "b" * 64}, ["were not these"]),
        ({"seed": 3, "validation_fraction": 0.1, "sha256": "b" * 64}, ["--run.seed 3 --data."]),
        ({"seed": 3, "validation_fraction": 0.1}, []),
    ],
)
def test_a_parent_that_may_have_seen_what_is_held_out_is_told(tiny, tiny_model, split, said):
    card = tiny_model().card(dataset="digits", data_split=split)
    names = tuple("0123456789")
    directory = RunDirectory("run", tiny(), (8, 8, 1), names, 1, data_sha256="a" * 64)
    lines = run_module._seen_by(card, directory)
    assert len(lines) == len(said)
    assert all(words in line for words, line in zip(said, lines, strict=True))
    assert run_module._seen_by(None, directory) == []
