"""The callback of samples, in a script of one's own."""

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

import kdiffusion as kd


def test_samples_of_a_script_are_those_of_its_seeds(tmp_path):
    names = "cat", "dog"
    network = kd.UNet((4, 4, 1), 2, 4, (1,), 1, ())
    model = kd.DiffusionModel(network, kd.make_schedule("cosine"))
    model.compile("sgd", run_eagerly=True)

    def card(model):
        return model.card(class_names=names, steps=2)

    shown = kd.SampleGrids(tmp_path, every_epochs=2, card=card, seed=5)
    images = np.linspace(-1, 1, 64, dtype="float32").reshape(4, 4, 4, 1)
    labels = np.zeros(4, "int32")
    model.fit(images, labels, epochs=3, verbose=0, callbacks=[shown])
    assert {path.stem for path in tmp_path.glob("samples/*")} == {"epoch_0002", "epoch_0003"}
    wanted = np.repeat(range(2), 4)
    samples = kd.sample(model.denoiser(card(model)), wanted, 5 + np.arange(len(wanted)))
    grid = np.asarray(kd.image_grid(kd.to_uint8(samples), 4, names))
    with Image.open(tmp_path / "samples/epoch_0003.png") as png:
        np.testing.assert_array_equal(png, grid)
    events = EventAccumulator(str(tmp_path / "tensorboard/samples"), {"tensors": 0}).Reload()
    last = events.Tensors("samples")[-1]
    assert last.step == 3
    assert make_ndarray(last.tensor_proto)[2].startswith(b"\x89PNG")
