"""What TensorBoard itself shows of a run that was killed and went on."""

import time

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from kdiffusion.runs.run_directory import RunDirectory
from kdiffusion.runs.tensorboard import event_writer, x_of


def test_what_was_logged_after_the_step_gone_on_from_is_hidden(tiny, tmp_path):
    directory = RunDirectory(tmp_path, tiny(run={"x_axis": "images"}), (8, 8, 1), ("0",), 1)
    # Killed after step 8, it goes on from step 6, twice.
    for first, steps, value in ((0, (2, 4, 6, 8), 1.0), (6, (8, 10), 2.0), (6, (8,), 3.0)):
        writer = event_writer(directory, "train", first)
        for step in steps:
            with writer.as_default(step=x_of(directory.config, step)):
                tf.summary.scalar("batch/loss", np.float32(value))
        writer.close()
        time.sleep(1.1)  # TensorBoard orders files by the whole seconds in their names
    events = EventAccumulator(str(directory.tensorboard / "train"), {"tensors": 0}).Reload()
    shown = {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors("batch/loss")}
    assert shown == {2 * 256: 1.0, 4 * 256: 1.0, 6 * 256: 1.0, 8 * 256: 3.0}
