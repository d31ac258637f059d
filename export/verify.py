"""Proof that an exported file computes what the network computes, in the file's own runtime."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kdiffusion.artifacts.denoiser import ArtifactError

if TYPE_CHECKING:
    import keras

    from kdiffusion.artifacts.denoiser import LoadedDenoiser


BATCH_SIZES = (1, 3, 17)


def largest_deviation(
    network: keras.Model,
    denoiser: LoadedDenoiser,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    seed: int = 0,
) -> float:
    """Compares a loaded file with the live network on random images.

    The timesteps of a batch run from T - 1 down to 0, the labels from the null label down through
    the classes, so that both ends and the unconditional prediction are always among them.

    Args:
        network: keras.Model. The float32 network that was exported.
        denoiser: LoadedDenoiser. The file.
        batch_sizes: ints. Defaults to `(1, 3, 17)`.
        seed: int. Of the random images. Defaults to `0`.

    Returns:
        float: the largest absolute difference of any predicted number; NaN if either gives NaN.
    """
    card, rng, deviations = denoiser.card, np.random.default_rng(seed), []
    for batch in batch_sizes:
        noisy_images = rng.standard_normal((batch, *card.image_shape)).astype(np.float32)
        timesteps = np.linspace(len(card.alphas_cumprod) - 1, 0, batch).round().astype(np.int32)
        labels = ((card.null_label - np.arange(batch)) % (card.null_label + 1)).astype(np.int32)
        inputs = {"noisy_image": noisy_images, "timestep": timesteps, "label": labels}
        with _full_float32():
            expected = np.asarray(network(inputs, training=False))
            received = denoiser(noisy_images, timesteps, labels)
        deviations.append(np.abs(received - expected).max())
    return float(np.max(deviations))


def check_deviation(network: keras.Model, denoiser: LoadedDenoiser, tolerance: float) -> float:
    """Refuses a file that differs from the network; otherwise returns the largest deviation.

    Args:
        network: keras.Model. The float32 network that was exported.
        denoiser: LoadedDenoiser. The file.
        tolerance: float. Largest absolute difference of a predicted number.

    Raises:
        ArtifactError: a difference above `tolerance`, or a NaN.
    """
    deviation = largest_deviation(network, denoiser)
    if not deviation <= tolerance:  # not `>`: a NaN must not pass
        raise ArtifactError(
            f"{denoiser.path.name} must agree with the live network to {tolerance:g}. "
            f"Received: a largest deviation of {deviation:g}; the file was not kept"
        )
    return deviation


@contextlib.contextmanager
def _full_float32():
    """Without TensorFloat-32, whose 10-bit mantissa alone differs by more than the tolerance."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
