"""One image, one seed: the noise of an image depends on its seed alone, not on its batch.

The stream is written out so that any language can repeat it. For an image with seed S:

1. Philox4x64-10 (Salmon et al. 2011) with key (S, 0) and counter (1, 0, 0, 0), (2, 0, 0, 0), ...
   gives four 64-bit words a block, taken in order: w_0, w_1, w_2, ...
2. u_k = floor(w_k / 2^11) / 2^53, in [0, 1).
3. Box-Muller: radius = sqrt(-2 ln(1 - u_2k)), angle = 2 pi u_2k+1;
   z_2k = radius cos(angle), z_2k+1 = radius sin(angle).
4. The first H W C of them fill the image row by row (height, width, channel). Each later draw goes
   on with the next word; when H W C is odd the last z of a draw is dropped.

The first draw is x_T. Random samplers take one further draw for each noisy step.
"""

import operator
from collections.abc import Sequence

import numpy as np


class ImageNoise:
    """Standard normal noise for a batch in which every image reads its own stream.

    Args:
        seeds: ints `[N]`, each from 0 to 2^64 - 1.
        image_shape: `(height, width, channels)`.
    """

    def __init__(self, seeds: Sequence[int] | np.ndarray, image_shape: Sequence[int]):
        self.image_shape = tuple(int(size) for size in image_shape)
        self._generators = [
            np.random.Philox(key=np.array([operator.index(seed), 0], np.uint64)) for seed in seeds
        ]

    def normal(self) -> np.ndarray:
        """The next draw of every image: float64 `[N, height, width, channels]`."""
        size = int(np.prod(self.image_shape))
        draws = [
            _box_muller(generator.random_raw(size + size % 2)) for generator in self._generators
        ]
        return np.reshape([draw[:size] for draw in draws], (len(draws), *self.image_shape))


def initial_latents(seeds: Sequence[int] | np.ndarray, image_shape: Sequence[int]) -> np.ndarray:
    """x_T for each seed: float64 `[N, height, width, channels]`, the first draw of its stream."""
    return ImageNoise(seeds, image_shape).normal()


def _box_muller(words: np.ndarray) -> np.ndarray:
    """An even number of uint64 words ► as many standard normal float64 numbers."""
    uniform = (words >> np.uint64(11)) * 2.0**-53  # [0, 1)
    radius = np.sqrt(-2.0 * np.log(1.0 - uniform[0::2]))
    angle = 2.0 * np.pi * uniform[1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).ravel()
