import keras
import numpy as np
import pytest
import tensorflow as tf

from kdiffusion.networks.unet import UNet
from tests.networks.layer_values import randomise
from tests.training.toy import IMAGES, LABELS, Fixed, compiled, draw, model_of


def test_a_step_of_sgd_follows_the_gradient_by_hand(scale_network, schedule):
    model = compiled(
        scale_network, schedule, keras.optimizers.SGD(0.5), objective=Fixed, gradient_clip_norm=None
    )
    logs = model.train_on_batch(IMAGES, LABELS, return_dict=True)
    timesteps, noise, dropped = map(np.asarray, draw(model, IMAGES, 0))
    signal = np.sqrt(schedule.alphas_cumprod[timesteps])[:, None, None, None]
    noisy = signal * IMAGES + np.sqrt(1 - signal**2) * noise
    scale_gradient = np.mean(-2 * noise * noisy)
    table_gradient = np.zeros(3)
    np.add.at(table_gradient, np.where(dropped, 2, LABELS), np.mean(-2 * noise, axis=(1, 2, 3)) / 8)
    table, scale = scale_network.get_weights()
    np.testing.assert_allclose(scale[0, 0], -0.5 * scale_gradient, rtol=1e-5)
    np.testing.assert_allclose(table[:, 0], -0.5 * table_gradient, rtol=1e-5, atol=1e-8)
    norm = np.sqrt(scale_gradient**2 + (table_gradient**2).sum())
    np.testing.assert_allclose(logs["gradient_norm"], norm, rtol=1e-5)
    np.testing.assert_allclose(logs["loss"], np.mean(noise**2), rtol=1e-5)


@pytest.mark.parametrize("timestep_sampling", ["uniform", "loss_second_moment"])
def test_a_batch_in_parts_is_the_whole_batch_also_where_its_losses_are_remembered(
    scale_network, schedule, timestep_sampling
):
    """After two steps of gradient descent."""
    trained = []
    for parts in (1, 2):  # of 4: at 2, its image's side, this network takes the batch for it
        model = compiled(
            type(scale_network)(), schedule, keras.optimizers.SGD(0.5),
            timestep_sampling=timestep_sampling, gradient_accumulation=parts,
        )  # fmt: skip
        logs = [model.train_on_batch(IMAGES, LABELS, return_dict=True) for _ in range(2)]
        trained.append([*model.get_weights(), *logs[1].values()])
    for whole, in_parts in zip(*trained, strict=True):
        np.testing.assert_allclose(in_parts, whole, rtol=1e-4, atol=1e-6)


def test_each_part_drops_other_units_by_the_seed(schedule):
    """Of one image eight times, so that its parts differ by nothing else."""
    seen = []

    class Watched(Fixed):
        def losses(self, *batch, **options):
            losses = super().losses(*batch, **options)
            seen.append(losses.numpy().mean())
            return losses

    network = UNet((2, 2, 1), 2, 4, (1,), 1, (), dropout=0.5)
    randomise(network)
    weights = network.get_weights()
    for seed in (1, 1, 2):
        network.set_weights(weights)
        model = model_of(network, schedule, Watched, seed=seed, gradient_accumulation=2)
        model.compile("sgd", run_eagerly=True)
        model.train_on_batch(np.repeat(IMAGES[:1], 8, axis=0), LABELS * 0)
    assert seen[:2] == seen[2:4]
    assert len({*seen}) == 4


def test_replicas_take_the_step_and_measure_the_losses_that_one_does(scale_network, schedule):
    """With SGD: AdamW would hide a constant factor in the gradient. Same draws for each image."""
    results = {}
    for devices in (1, 2):
        names = [f"/cpu:{device}" for device in range(devices)]
        with tf.distribute.MirroredStrategy(names).scope():
            network, sgd = type(scale_network)(), keras.optimizers.SGD(0.5)
            model = compiled(network, schedule, sgd, objective=Fixed, gradient_clip_norm=0.05)
        batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS))
        # Of seven images, no replica gets as many as the next.
        history = model.fit(
            batches.batch(8), epochs=3, verbose=0, validation_data=batches.take(7).batch(7)
        ).history
        assert len(history) == 11  # loss, its four quarters, the norm; and the first five again
        results[devices] = [*model.get_weights(), *history.values()]
    for one, several in zip(results[1], results[2], strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-5, atol=1e-7)


def test_xla_takes_the_same_steps(scale_network, schedule):
    """From the same draws: its own, from the same seeds, are others."""
    trained = []
    for jit_compile in (False, True):
        model = model_of(type(scale_network)(), schedule, Fixed)
        model.compile(keras.optimizers.SGD(0.5), jit_compile=jit_compile)
        options = {"batch_size": 4, "epochs": 2, "shuffle": False, "verbose": 0}
        losses = model.fit(IMAGES, LABELS, **options).history["loss"]
        trained.append([*losses, *model.get_weights()])
    for compiled_one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(compiled_one, other, rtol=1e-5, atol=1e-7)


def test_float16s_loss_scale_changes_neither_the_norm_nor_what_is_clipped(scale_network, schedule):
    norms, moved = [], []
    for policy in ("float32", "mixed_float16"):
        network = type(scale_network)()  # of zeros
        model = compiled(
            network, schedule, keras.optimizers.SGD(1.0), objective=Fixed,
            gradient_clip_norm=0.05, dtype=policy,
        )  # fmt: skip
        norms.append(model.train_on_batch(IMAGES, LABELS, return_dict=True)["gradient_norm"])
        moved.append(np.concatenate(network.get_weights(), axis=None))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert norms[1] == pytest.approx(norms[0], rel=1e-3)
    assert np.linalg.norm(moved[0]) == pytest.approx(0.05, rel=1e-3)
    np.testing.assert_allclose(moved[1], moved[0], rtol=1e-3, atol=1e-6)
