"""Event files as TensorFlow writes them, without what a run went back behind."""

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kdiffusion.runs.event_log import Axis, trim

EPOCHS = Axis("epochs", 128)


def _write(folder, scalars, graph=False):
    """A file of (tag, number, value), as one life of a run writes it."""
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for tag, number, value in scalars:
            tf.summary.scalar(tag, np.float32(value), np.int64(number))
        if graph:
            function = tf.function(lambda x: x + 1.0)
            tf.summary.graph(function.get_concrete_function(tf.zeros(())).graph)
    writer.close()


def _scalars(folder):
    events = EventAccumulator(str(folder), {"tensors": 0}).Reload()
    return {
        (tag, event.step): float(tf.make_ndarray(event.tensor_proto))
        for tag in events.Tags()["tensors"]
        for event in events.Tensors(tag)
    }


def _count(folder, what):
    records = tf.data.TFRecordDataset([str(path) for path in sorted(folder.iterdir())])
    events = [tf.compat.v1.Event.FromString(record) for record in records.as_numpy_iterator()]
    return sum(event.WhichOneof("what") == what for event in events)


FIRST_LIFE = [("batch/loss", 5, 0.5), ("epoch/loss", 1, 0.4), ("batch/loss", 10, 0.3),
              ("epoch/loss", 2, 0.2), ("batch/loss", 15, 0.1), ("samples", 2, 7.0)]  # fmt: skip


def test_what_is_after_the_step_or_the_epoch_is_taken_out(tmp_path):
    _write(tmp_path, FIRST_LIFE, graph=True)
    assert trim(tmp_path, step=10, epoch=1, axis=EPOCHS)
    assert _scalars(tmp_path) == pytest.approx(
        {("batch/loss", 5): 0.5, ("epoch/loss", 1): 0.4, ("batch/loss", 10): 0.3}
    )
    assert _count(tmp_path, "graph_def") == 1


def test_of_several_lives_the_last_counts_and_one_graph_stays(tmp_path):
    _write(tmp_path, FIRST_LIFE, graph=True)
    _write(tmp_path, [("batch/loss", 10, 9.0), ("epoch/loss", 2, 8.0)], graph=True)
    assert trim(tmp_path, step=15, epoch=2, axis=EPOCHS)
    assert _count(tmp_path, "graph_def") == 1
    assert _count(tmp_path, "summary") == 6
    assert _scalars(tmp_path)["batch/loss", 10] == 9.0
    assert _scalars(tmp_path)["epoch/loss", 2] == 8.0


def test_of_two_lives_in_one_second_the_later_is_the_last(tmp_path):
    _write(tmp_path, [("epoch/loss", 1, 9.0)])
    (first,) = tmp_path.iterdir()
    name = first.name.rsplit(".", 2)[0]  # the number of the writer in its process is next to last
    first.rename(tmp_path / f"{name}.9.v2")
    _write(tmp_path / "later", [("epoch/loss", 1, 10.0)])
    (second,) = (tmp_path / "later").iterdir()
    second.rename(tmp_path / f"{name}.10.v2")
    (tmp_path / "later").rmdir()
    trim(tmp_path, step=15, epoch=2, axis=EPOCHS)
    assert _scalars(tmp_path) == {("epoch/loss", 1): 10.0}


def test_a_log_with_nothing_to_take_out_is_not_touched(tmp_path):
    _write(tmp_path, FIRST_LIFE)
    (file,) = tmp_path.iterdir()
    before = file.stat()
    assert not trim(tmp_path, step=15, epoch=2, axis=EPOCHS)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not trim(tmp_path / "absent", step=0, epoch=0, axis=EPOCHS)


def test_a_file_that_a_killed_writer_cut_is_read_as_far_as_it_goes(tmp_path):
    _write(tmp_path, FIRST_LIFE)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-3])
    (tmp_path / f"{file.name}.partial").write_bytes(b"cut")
    trim(tmp_path, step=10, epoch=2, axis=EPOCHS)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert _scalars(tmp_path).keys() == {(tag, number) for tag, number, _ in FIRST_LIFE[:4]}


def test_along_steps_and_images_all_is_numbered_alike():
    for name, size in (("steps", 1), ("images", 64)):
        axis = Axis(name, 64)
        for tag in ("batch/loss", "epoch/loss", "samples", "evaluation/detail", "config"):
            assert axis.number(tag, step=12, epoch=2) == 12 * size
    numbers = {tag: EPOCHS.number(tag, 12, 2) for tag in ("batch/loss", "epoch/loss", "samples")}
    assert numbers == {"batch/loss": 12, "epoch/loss": 2, "samples": 2}


@pytest.mark.parametrize("name", ["steps", "images"])
def test_what_is_after_the_step_is_taken_out_along_one_axis(tmp_path, name):
    axis = Axis(name, 64)
    life = [("batch/loss", 5), ("batch/loss", 6), ("epoch/loss", 6), ("epoch/loss", 12)]
    _write(tmp_path, [(tag, axis.number(tag, step, step // 6), 0.5) for tag, step in life])
    trim(tmp_path, step=6, epoch=1, axis=axis)
    kept = {(tag, axis.number(tag, step, step // 6)) for tag, step in life[:3]}
    assert _scalars(tmp_path).keys() == kept
