"""The published noise stream, against a second implementation in plain Python integers."""

import itertools
import math

import numpy as np
import pytest

from kdiffusion.diffusion.seeded_noise import ImageNoise, initial_latents

MASK = 2**64 - 1

# Philox4x64-10, key (0, 0), counter (1, 0, 0, 0); and the first four numbers of seeds 0 and 1.
PHILOX_SEED_0 = [0x2F4BA6408E4D89B, 0x3DD62B0B9CA8C5B2, 0x1C8667A55D902E79, 0x907D7A052FD5B4DC]
NORMAL_SEED_0 = [
    0.008088695404117373,
    0.15219212994898557,
    -0.4468097514740505,
    -0.1914038077379988,
]
NORMAL_SEED_1 = [0.4943877442845478, -0.6922074110439179, 0.5715938418833231, 0.11316118348113098]


def philox_block(counter, key):
    """Philox4x64-10 as in Salmon et al. 2011, section 3.3."""
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [
            (second >> 64) ^ c[1] ^ k[0],
            second & MASK,
            (first >> 64) ^ c[3] ^ k[1],
            first & MASK,
        ]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return c


def philox_words(seed, count):
    blocks = (philox_block((n, 0, 0, 0), (seed, 0)) for n in itertools.count(1))
    return list(itertools.islice(itertools.chain.from_iterable(blocks), count))


def normals(seed, count):
    uniform = [(word >> 11) / 2**53 for word in philox_words(seed, count + count % 2)]
    values = []
    for u, v in zip(uniform[0::2], uniform[1::2], strict=True):
        radius = math.sqrt(-2 * math.log(1 - u))
        values += [radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)]
    return values[:count]


def test_the_known_answer_of_the_generators_authors():
    """Random123's kat_vectors: philox4x64, 10 rounds, counter and key of zeros."""
    assert philox_block((0, 0, 0, 0), (0, 0)) == [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]


def test_published_vectors():
    """For whoever writes this stream in another language."""
    assert philox_words(0, 4) == PHILOX_SEED_0
    np.testing.assert_allclose(initial_latents([0], (1, 4, 1)).ravel(), NORMAL_SEED_0, rtol=1e-14)
    np.testing.assert_allclose(initial_latents([1], (1, 4, 1)).ravel(), NORMAL_SEED_1, rtol=1e-14)


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63, MASK])
def test_second_implementation(seed):
    np.testing.assert_allclose(
        initial_latents([seed], (3, 5, 3)).ravel(), normals(seed, 45), rtol=1e-13
    )


def test_later_draws_go_on_where_the_last_one_ended():
    noise = ImageNoise([7], (1, 3, 1))  # odd: each draw takes four numbers and drops the last
    draws = np.concatenate([noise.normal().ravel() for _ in range(3)])
    stream = normals(7, 12)
    np.testing.assert_allclose(draws, stream[0:3] + stream[4:7] + stream[8:11], rtol=1e-13)


def test_an_image_does_not_depend_on_its_batch():
    together, alone = ImageNoise([3, 9, 4], (2, 2, 3)), ImageNoise([9], (2, 2, 3))
    for _ in range(3):
        np.testing.assert_array_equal(together.normal()[1], alone.normal()[0])


def test_it_is_standard_normal_and_seeds_are_independent():
    draws = initial_latents(range(400), (8, 8, 3)).reshape(400, -1)
    assert draws.dtype == np.float64
    assert abs(draws.mean()) < 4 / math.sqrt(draws.size)
    assert abs(draws.std() - 1) < 4 / math.sqrt(2 * draws.size)
    assert abs((draws**4).mean() - 3) < 4 * math.sqrt(96 / draws.size)
    correlations = np.corrcoef(draws)[np.triu_indices(400, 1)]
    assert np.abs(correlations).max() < 6 / math.sqrt(192)
