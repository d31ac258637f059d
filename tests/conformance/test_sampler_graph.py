"""The whole sampler in one graph against the NumPy loop, over every format and sampler of it."""

import dataclasses

import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from kdiffusion.artifacts import load_sampler
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.seeded_noise import initial_latents
from kdiffusion.export.source import ExportSource, inference_network
from kdiffusion.export.whole_sampler import SAMPLER_FORMATS
from kdiffusion.export.whole_sampler.tables import GRAPH_SAMPLERS, sampler_tables
from kdiffusion.images import to_uint8
from tests.cases import side_by_side
from tests.conformance.conftest import TIMESTEPS

pytestmark = pytest.mark.slow
LABELS, SEEDS = [0, 1, 2, 3, 2], [7, 8, 9, 10, 11]
NOT_CLIPPED = "ddim"  # by its card


@pytest.fixture(scope="module")
def live(small_network, served):
    """The Denoiser of the network before it is exported."""
    return ExportSource(inference_network(small_network), served).denoiser


@pytest.mark.parametrize(
    ("sampler", "name"), side_by_side(GRAPH_SAMPLERS, [*SAMPLER_FORMATS][::-1])
)
def test_its_images_are_those_of_the_loop(whole_samplers, live, served, sampler, name):
    clip = sampler != NOT_CLIPPED
    formats = [name] * (sampler != "unipc")  # that in both: others need it
    draw, card_of_file = load_sampler(whole_samplers(sampler, clip, *formats)[name], trust=True)
    assert card_of_file == dataclasses.replace(served, clip=clip)
    noise = initial_latents(SEEDS, served.image_shape)
    for strength in (0.0, 2.5):
        expected = sample(
            live, LABELS, SEEDS, sampler=sampler,
            timesteps=TIMESTEPS, guidance_strength=strength, clip=clip,
            progress=False,
        )  # fmt: skip
        received = draw(noise, LABELS, strength)
        assert received.dtype == np.float32
        difference = np.abs(to_uint8(received).astype(int) - to_uint8(expected))
        assert difference.max() <= 1
        assert to_uint8(received).std() > 10  # they show something
        alone = draw(noise[3:4], LABELS[3:4], strength)
        np.testing.assert_allclose(alone[0], received[3], atol=1e-3)


def test_no_step_need_be_within_the_cards_interval(served):
    assert sampler_tables(served, sampler="unipc", steps=1).guides.tolist() == [0]


def _raw(name, path):
    """A sampler in its runtime alone, as a client that has no line of ours runs it."""
    if name == "onnx":
        session = onnxruntime.InferenceSession(path)
        return lambda **inputs: session.run(None, {k: np.asarray(v) for k, v in inputs.items()})[0]
    served = tf.saved_model.load(path).signatures["serving_default"]
    return lambda **inputs: served(**{k: tf.constant(v) for k, v in inputs.items()})["image"]


@pytest.mark.parametrize("name", SAMPLER_FORMATS)
def test_the_graph_itself_refuses_what_the_loop_refuses(one_sampler, card, name):
    run = _raw(name, one_sampler[name])
    inputs = {
        "noise": initial_latents([0, 1], card.image_shape).astype(np.float32),
        "label": np.array([0, card.null_label], np.int32),
        "guidance_strength": np.float32(-1),
    }
    assert np.all(np.isfinite(run(**inputs)))
    for label in (-1, card.null_label + 1, np.iinfo(np.int32).max):
        with pytest.raises(Exception, match=f"label_must_be_from_0_to_{card.null_label}"):
            run(**inputs | {"label": np.array([0, label], np.int32)})
    for strength in (-1.01, -np.inf, np.inf, np.nan):
        with pytest.raises(Exception, match="guidance_strength_must_be_finite_and_at_least_minus"):
            run(**inputs | {"guidance_strength": np.float32(strength)})


def test_a_file_says_what_it_draws_with(one_sampler):
    for name, row in SAMPLER_FORMATS.items():
        expected = {"sampler": "unipc", "steps": 5, "spacing": None, "timesteps": [*TIMESTEPS]}
        assert row.description(one_sampler[name]) == expected


@pytest.mark.parametrize("sampler", ["ddpm", "dpmpp_2m_sde"])
def test_samplers_that_no_table_holds_are_refused(card, sampler):
    with pytest.raises(ValueError, match=r"must be one of ddim, dpmpp_2m, unipc, fitted.*Received"):
        sampler_tables(card, sampler=sampler)
