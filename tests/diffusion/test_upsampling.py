"""Larger images, tile by tile, against the whole image at once."""

import dataclasses

import numpy as np
import pytest

from kdiffusion import sample, upsample
from kdiffusion.condition_images import enlarged
from kdiffusion.diffusion.card import ConditionImage
from kdiffusion.diffusion.denoiser import NetworkDenoiser
from kdiffusion.diffusion.seeded_noise import ImageNoise

SMALL = np.random.default_rng(0).uniform(-1, 1, (2, 13, 9, 3))


@pytest.fixture
def upsampler(make_card):
    """`upsampler(size)`: one whose prediction at a pixel depends on x_t and the image there."""

    def make(shape, meaning="downsampled_2"):
        card = make_card(
            image_shape=shape, prediction_type="x0", sampler="unipc", steps=4,
            image=ConditionImage(channels=3, meaning=meaning),
        )  # fmt: skip
        return NetworkDenoiser(card, lambda x, t, label, image: np.tanh(x / 2 + image))

    return make


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.7])
def test_tiles_give_what_the_whole_image_would(upsampler, overlap):
    got = upsample(upsampler((8, 6, 3)), SMALL, [5, 6], overlap=overlap, progress=False)
    whole = ImageNoise([5, 6], (26, 18, 3)).normal()
    given = {"images": enlarged(SMALL, 2), "latents": whole, "progress": False}
    np.testing.assert_allclose(got, sample(upsampler((26, 18, 3)), [0, 0], **given), atol=1e-6)


def test_an_image_of_one_tile_is_sampled_as_it_is(upsampler):
    denoiser, small = upsampler((8, 12, 3), "downsampled_4"), SMALL[:, :2, :3]
    want = sample(denoiser, [0, 0], images=enlarged(small, 4), progress=False)
    np.testing.assert_allclose(upsample(denoiser, small, progress=False), want, atol=1e-6)


def test_an_image_smaller_than_a_tile_has_its_own_size(upsampler):
    small = SMALL[:, :2, :1]
    assert upsample(upsampler((8, 6, 3)), small, progress=False).shape == (2, 4, 2, 3)


def test_noise_on_the_image_changes_the_result_and_comes_from_the_seed(upsampler):
    denoiser = upsampler((8, 6, 3))
    first, again, without = (
        upsample(denoiser, SMALL, condition_noise=noise, progress=False) for noise in (0.1, 0.1, 0)
    )
    np.testing.assert_array_equal(first, again)
    assert 0.01 < np.abs(first - without).mean() < 0.1


def test_tiles_agree_since_no_sampler_adds_noise_to_them(upsampler):
    denoiser = upsampler((8, 6, 3))
    with pytest.raises(ValueError, match="`sampler` must be deterministic"):
        upsample(denoiser, SMALL, sampler="ddpm")
    random = dataclasses.replace(
        denoiser, card=dataclasses.replace(denoiser.card, sampler="dpmpp_2m_sde")
    )
    want = upsample(denoiser, SMALL, sampler="ddim", progress=False)
    np.testing.assert_array_equal(upsample(random, SMALL, progress=False), want)


def test_a_model_of_another_kind_is_refused(upsampler, make_card):
    others = (
        upsampler((8, 6, 3), "grey"),
        dataclasses.replace(upsampler((8, 6, 3)), card=make_card()),
    )
    for denoiser in others:
        with pytest.raises(ValueError, match="downsampled"):
            upsample(denoiser, SMALL)
