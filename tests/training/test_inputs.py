"""What `fit` takes, what it converts, and what it refuses at the first batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.diffusion.sampling import sample
from kdiffusion.images import to_model_range
from kdiffusion.training.diffusion_model import DiffusionModel
from tests.cases import side_by_side

PIXELS = np.random.default_rng(0).integers(0, 256, (8, 2, 2, 1), np.uint8)
IMAGES = to_model_range(PIXELS)
LABELS = np.arange(8) % 2


@pytest.fixture
def model(scale_network, schedule):
    model = DiffusionModel(scale_network, schedule)
    model.compile("sgd")
    return model


def losses(model, images, labels):
    return model.evaluate(images, labels, batch_size=4, return_dict=True, verbose=0)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (PIXELS, LABELS.astype(np.uint8)[:, None]),  # as of keras.datasets.cifar10.load_data()
        (IMAGES.astype(np.float64), LABELS[:, None]),
    ],
)
def test_what_has_one_meaning_is_converted(model, images, labels):
    model.ema_network.set_weights([np.array([[0.1], [0.2], [0.3]]), np.array([[0.5]])])
    assert losses(model, images, labels) == losses(model, IMAGES, LABELS)
    history = model.fit(images, labels, batch_size=4, verbose=0).history
    assert len(history) == 6  # loss, its four quarters, the gradient's norm


REFUSED = {
    "pixels as floats": (PIXELS.astype(np.float32), LABELS, "images"),
    "pixels from 0 to 1": (PIXELS / 255.0, LABELS, "images"),
    "not finite": (IMAGES * np.nan, LABELS, "images"),
    "labels from 1": (IMAGES, LABELS + 1, "labels"),
    "labels below 0": (IMAGES, LABELS - 1, "labels"),
    "float labels": (IMAGES, LABELS + 0.7, "labels"),
    "one-hot labels": (IMAGES, np.eye(2, dtype=int)[LABELS], "labels"),
    "no channels": (IMAGES[..., 0], LABELS, "images"),
    "another height": (IMAGES[:, :1], LABELS, "images"),
}


class OneBatch(keras.utils.PyDataset):
    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.batch


SOURCES = {
    "arrays": lambda *batch: batch,
    "a batch size by position": lambda *batch: (*batch, 4),
    "tf.data": lambda *batch: (tf.data.Dataset.from_tensor_slices(batch).batch(4),),
    "generator": lambda *batch: ((batch for _ in range(2)),),
    "PyDataset": lambda *batch: (OneBatch(*batch),),
}


@pytest.mark.parametrize(("case", "source"), side_by_side(REFUSED, SOURCES))
def test_what_would_train_silently_wrong_is_refused_before_the_first_step(model, case, source):
    images, labels, name = REFUSED[case]
    with pytest.raises(ValueError, match=f"`{name}`"):
        model.fit(*SOURCES[source](images, labels), verbose=0)
    assert int(model.step) == 0


def test_every_label_of_an_array_is_looked_at(model):
    images, labels = np.repeat(IMAGES, 20, axis=0), np.repeat([0, 2], 80)  # as a folder has them
    with pytest.raises(ValueError, match="`labels`"):
        model.fit(images, labels, verbose=0)


@pytest.mark.parametrize(
    ("source", "batches", "seen"),
    [
        ("arrays", 2, 8),
        ("a batch size by position", 2, 8),
        ("tf.data", 2, 8),
        ("generator", 2, 16),
        ("PyDataset", 1, 8),
    ],
)
def test_the_card_counts_the_images_and_the_first_ones_are_among_them(
    model, source, batches, seen, tmp_path
):
    options = {"batch_size": 4} if source == "arrays" else {}
    model.fit(*SOURCES[source](IMAGES, LABELS), steps_per_epoch=batches, verbose=0, **options)
    assert int(model.step) == batches
    model.save(tmp_path / "model.keras")
    for each in (model, keras.saving.load_model(tmp_path / "model.keras")):
        assert each.card().images_seen == seen


@pytest.mark.parametrize(
    "options", [{"class_weight": {0: 1.0, 1: 2.0}}, {"sample_weight": np.ones(8)}]
)
def test_weights_of_examples_are_refused(model, options):
    with pytest.raises(ValueError, match="`class_weight` and `sample_weight`"):
        model.fit(IMAGES, LABELS, **options, verbose=0)


@pytest.mark.parametrize("options", [{"loss": "mse"}, {"metrics": ["accuracy"]}])
def test_another_loss_or_metric_is_refused(model, options):
    with pytest.raises(ValueError, match="must be None"):
        model.compile("sgd", **options)


def test_a_model_can_be_sampled_from_as_it_is(model):
    options = {"steps": 2, "progress": False}
    np.testing.assert_array_equal(
        sample(model, [0, 1], **options), sample(model.denoiser(), [0, 1], **options)
    )
