"""The published noise stream, against a second implementation in plain Python integers."""

import itertools
import math

import numpy as np
import pytest

from kdiffusion.diffusion.seeded_noise import initial_latents

MASK = 2**64 - 1


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


def normals(seed, count):
    blocks = (philox_block((n, 0, 0, 0), (seed, 0)) for n in itertools.count(1))
    words = itertools.islice(itertools.chain.from_iterable(blocks), count + count % 2)
    uniform = [(word >> 11) / 2**53 for word in words]
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


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**63, MASK])
def test_second_implementation(seed):
    np.testing.assert_allclose(
        initial_latents([seed], (3, 5, 3)).ravel(), normals(seed, 45), rtol=1e-13
    )
