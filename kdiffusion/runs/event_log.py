"""TensorBoard's event files: what they count along, and what a run goes back behind taken out."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from kdiffusion.files import staged

# What begins a tag whose events are numbered by epoch on an axis of epochs; the others are by step.
BY_EPOCH = ("epoch/", "samples", "evaluation/")


class Axis:
    """What the events of a run are numbered by.

    Args:
        name: "steps", "images" (of those steps), or "epochs": for what `BY_EPOCH` says, else steps.
        batch_size: int. Images of a step.
    """

    def __init__(self, name: str, batch_size: int):
        self._name = name
        self._batch_size = batch_size

    def number(self, tag: str, step: int, epoch: int) -> int:
        """The number of an event of a tag at a step, the last of an epoch or not."""
        if self._name == "images":
            return step * self._batch_size
        return epoch if self._name == "epochs" and tag.startswith(BY_EPOCH) else step


def trim(folder: Path, step: int, epoch: int, axis: Axis) -> bool:
    """Leaves of the events in a folder those that a run which was never stopped would have by now.

    Events after `step`, or of epochs after `epoch`, will be written again. Of several with one tag
    and number the last stays, and of several graphs the first. A file is replaced whole or not at
    all.

    Args:
        folder: Path of one part of a run, such as tensorboard/train.
        step: int. The step from which the run goes on.
        epoch: int. How many epochs are done by then.
        axis: `Axis`.

    Returns:
        whether there is a graph.

    Raises:
        OSError: a file could not be written.
    """
    for leftover in Path(folder).glob("*tfevents*.partial"):  # of a version before
        leftover.unlink()  # its events are all in the file that it was to replace
    files = sorted((file for file in Path(folder).glob("*tfevents*") if file.is_file()), key=_began)
    graph, last, every = None, {}, set()
    for file in files:
        for place, event in enumerate(_events(file)):
            if event.HasField("graph_def"):
                every.add((file, place))
                graph = graph or (file, place)
            for value in event.summary.value:
                every.add((file, place))
                if event.step <= axis.number(value.tag, step, epoch):
                    last[value.tag, event.step] = file, place
    surplus = every - {*last.values(), graph}
    for file in files:
        places = {place for each, place in surplus if each == file}
        if places:
            _write_without(file, places)
    return graph is not None


def _began(file):
    """When what a file holds began: its name has whole seconds, and in one, 10 sorts before 9."""
    times = (event.wall_time for event in _events(file) if not event.HasField("file_version"))
    return next(times, 0.0)


def _events(file):
    """The events of a file, up to its end or to where a killed writer stopped."""
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    while True:
        try:
            record = next(records)
        except (StopIteration, tf.errors.DataLossError):
            return
        yield tf.compat.v1.Event.FromString(record)


def _write_without(file, places):
    try:
        with staged(file, overwrite=True) as new, tf.io.TFRecordWriter(str(new)) as writer:
            for place, event in enumerate(_events(file)):
                if place not in places:
                    writer.write(event.SerializeToString())
    except tf.errors.OpError as error:
        raise OSError(f"{file} could not be written: {error.message}") from error
