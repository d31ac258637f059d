"""What `fit` takes, what it converts, and what it refuses by name at the first batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.images import to_model_range
from kdiffusion.training import DiffusionModel
from kdiffusion.training.batches import BATCH_RANGE, batch_range

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
        (PIXELS, LABELS.astype(np.int32)),
        (IMAGES.astype(np.float64), LABELS[:, None]),
    ],
)
def test_what_has_one_meaning_is_converted(model, images, labels):
    model.ema_network.set_weights([np.array([[0.1], [0.2], [0.3]]), np.array([[0.5]])])
    assert losses(model, images, labels) == losses(model, IMAGES, LABELS)
    history = model.fit(images, labels, batch_size=4, verbose=0).history
    assert len(history) == 6  # loss, its four quarters, the gradient's norm


REFUSED = {
    "pixels as floats": (PIXELS.astype(np.float32), LABELS, "`images` must be floats in .* 25"),
    "images from 0 to 1": (PIXELS / 255.0, LABELS, "`2 \\* images - 1` brings"),
    "not finite": (IMAGES * np.nan, LABELS, "NaN or infinity among them"),
    "ints": (PIXELS.astype(np.int64), LABELS, "or uint8 pixels from 0 to 255. Received: int64"),
    "no channels": (IMAGES[..., 0], LABELS, "`images` must be of shape"),
    "another size": (IMAGES[:, :1], LABELS, "`images` must be of shape \\[B, 2, 2, 1\\]"),
    "labels from 1": (IMAGES, LABELS + 1, "labels from 1 to 2"),
    "labels from -1": (IMAGES, LABELS - 1, "labels from -1 to 0"),
    "one-hot labels": (IMAGES, np.eye(2, dtype=np.int32)[LABELS], "labels.argmax"),
    "labels beyond 32 bits": (IMAGES, LABELS + 2**32, "labels from 2147483648 to"),
    "labels beyond 63 bits": (IMAGES, LABELS.astype(np.uint64) + 2**63, "labels from 2147483648"),
    "float labels": (IMAGES, LABELS.astype(np.float32), "`labels` must be whole numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_rest_is_refused_by_name(model, case):
    images, labels, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        model.fit(images, labels, verbose=0)


def test_another_size_is_refused_after_the_right_one_too(model):
    model.fit(IMAGES, LABELS, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"must be of shape \[B, 2, 2, 1\]"):
        model.fit(np.repeat(IMAGES, 2, axis=1), LABELS, verbose=0)
    model.fit(IMAGES, LABELS, verbose=0)


def test_every_way_in_is_guarded_and_takes_what_is_right_afterwards(model):
    for call in (model.train_on_batch, model.test_on_batch, model.evaluate):
        with pytest.raises(ValueError, match="`labels`"):
            call(IMAGES, LABELS + 1)
    model.fit(IMAGES, LABELS, verbose=0, validation_data=(IMAGES, LABELS))


def test_the_first_batch_is_refused_before_the_second_is_trained_on(model):
    with pytest.raises(ValueError, match="`labels`"):
        model.fit(IMAGES, LABELS + 5, batch_size=2, verbose=0)
    assert int(model.step) == 1


def test_later_batches_are_looked_at_too(model):
    images, labels = np.concatenate([IMAGES] * 3), np.concatenate([LABELS, LABELS - 1, LABELS])
    with pytest.raises(ValueError, match="labels from -1 to 0"):
        model.fit(images, labels, batch_size=8, shuffle=False, verbose=0)


def test_the_last_batch_is_looked_at_before_any_callback_sees_the_epoch(model):
    images, labels = np.concatenate([IMAGES] * 2), np.concatenate([LABELS, LABELS - 1])
    ended = []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ended.append(epoch))
    with pytest.raises(ValueError, match="labels from -1 to 0"):
        model.fit(images, labels, batch_size=8, shuffle=False, verbose=0, callbacks=[watch])
    assert not ended
    with pytest.raises(ValueError, match="labels from -1 to 0"):
        model.evaluate(images, labels, batch_size=8, verbose=0)
    model.fit(IMAGES, LABELS, verbose=0)


def test_a_few_pale_images_and_images_of_one_grey_are_no_mistake(model):
    model.evaluate(np.abs(IMAGES[:3]), LABELS[:3], verbose=0)
    model.evaluate(0 * IMAGES, LABELS, verbose=0)
    pale = np.concatenate([IMAGES, np.abs(IMAGES)])  # not the first batch
    model.evaluate(pale, np.concatenate([LABELS, LABELS]), batch_size=8, verbose=0)


def test_pale_pixels_are_pale_images(model):
    pixels = np.clip(PIXELS, 128, 255).astype("uint8")
    model.evaluate(pixels, LABELS, verbose=0)
    floats = pixels / 127.5 - 1
    with pytest.raises(ValueError, match="none of the first ones has a number below 0"):
        model.evaluate(floats, LABELS, verbose=0)
    model.may_be_pale = True  # as a run knows of its data
    model.evaluate(floats, LABELS, verbose=0)


def test_small_batches_are_looked_at_together(model):
    from_0_to_1 = PIXELS / 255.0
    with pytest.raises(ValueError, match="none of the first ones has a number below 0"):
        model.fit(from_0_to_1, LABELS, batch_size=3, verbose=0)
    with pytest.raises(ValueError, match="none of the first ones has a number below 0"):
        model.evaluate(from_0_to_1, LABELS, batch_size=1, verbose=0)
    pale_at_last = np.concatenate([IMAGES, from_0_to_1])
    model.evaluate(pale_at_last, np.concatenate([LABELS, LABELS]), batch_size=1, verbose=0)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_batch_that_is_not_finite_leaves_the_weights_finite(model, number):
    images = np.concatenate([IMAGES, IMAGES])
    images[9, 1, 1] = number
    with pytest.raises(ValueError, match="NaN or infinity among them"):
        model.fit(images, np.concatenate([LABELS] * 2), batch_size=8, shuffle=False, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_subclass_may_return_logs_of_its_own(scale_network, schedule):
    class Own(DiffusionModel):
        def train_step(self, data):
            return {"mine": super().train_step(data)["loss"]}

    model = Own(scale_network, schedule)
    model.compile("sgd")
    history = model.fit(IMAGES, LABELS, verbose=0, validation_data=(IMAGES, LABELS)).history
    assert {"mine", "val_loss"} <= set(history)
    with pytest.raises(ValueError, match="`labels`"):
        model.evaluate(IMAGES, LABELS + 1, verbose=0)


def test_several_steps_in_one_call(scale_network, schedule):
    model = DiffusionModel(scale_network, schedule)
    model.compile("sgd", steps_per_execution=2)
    assert len(model.fit(IMAGES, LABELS, batch_size=2, verbose=0).history) == 6
    with pytest.raises(ValueError, match="`images`"):
        model.fit(PIXELS * 1.0, LABELS, batch_size=2, verbose=0)


def test_callbacks_see_the_metrics_alone(model):
    seen = set()
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.update(logs))
    model.fit(IMAGES, LABELS, verbose=0, callbacks=[watch])
    assert "loss" in seen
    assert BATCH_RANGE not in seen


def test_without_names_the_loss_comes_first(scale_network, schedule):
    def compiled():
        model = DiffusionModel(scale_network, schedule)
        model.compile(keras.optimizers.SGD(0.0))
        return model

    assert compiled().metrics_names == ["loss", "gradient_norm"]
    for name in ("train_on_batch", "test_on_batch"):
        first, *_ = getattr(compiled(), name)(IMAGES, LABELS)
        named = getattr(compiled(), name)(IMAGES, LABELS, return_dict=True)
        assert first == named["loss"] > 0


def test_replicas_tell_the_range_of_the_whole_batch(schedule):
    strategy = tf.distribute.MirroredStrategy(
        ["/cpu:0", "/cpu:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )
    parts = [
        (IMAGES[:2], tf.constant([1, 1])),
        (IMAGES[:0], tf.constant([], tf.int32)),  # none left over for this one
    ]

    def run(first, second):
        images = strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant((first, second)[context.replica_id_in_sync_group][0])
        )
        labels = strategy.experimental_distribute_values_from_function(
            lambda context: (first, second)[context.replica_id_in_sync_group][1]
        )
        ranges = strategy.run(batch_range, args=(images, labels))
        one, other = strategy.experimental_local_results(ranges)
        np.testing.assert_array_equal(one, other)
        return one

    expected = [2, IMAGES[:2].min(), IMAGES[:2].max(), 1, 1]
    np.testing.assert_allclose(run(*parts), expected)
    bad = (np.float32([[[[np.nan], [3.0]], [[0.0], [0.0]]]]), tf.constant([-4]))
    count, least, greatest, *labels = np.asarray(run(parts[0], bad))
    assert count == 3
    assert (least, greatest) == (-np.inf, np.inf)
    assert labels == [-4, 1]


@pytest.mark.parametrize("name", ["loss", "metrics", "loss_weights", "weighted_metrics"])
def test_another_loss_is_refused(scale_network, schedule, name):
    with pytest.raises(ValueError, match=f"`{name}` must be None"):
        DiffusionModel(scale_network, schedule).compile("sgd", **{name: ["mse"]})


def test_a_network_that_cannot_be_one_is_refused(schedule):
    inputs = keras.Input((2, 2, 1))
    with pytest.raises(ValueError, match=r"`network` must be .* without `image_shape` and `num_"):
        DiffusionModel(keras.Model(inputs, inputs), schedule)
    with pytest.raises(ValueError, match="`network` must be"):
        DiffusionModel(lambda inputs: inputs, schedule)
    image = keras.Input((2, 2, 1), name="image")
    other = keras.Model(image, image)
    other.image_shape, other.num_classes = (2, 2, 1), 2
    with pytest.raises(ValueError, match=r"timestep, label\. Received: image"):
        DiffusionModel(other, schedule)
