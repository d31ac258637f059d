"""Whatever is typed or read, only the documented errors come out: card, configuration, sampler."""

import contextlib
import dataclasses
import json
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdiffusion.artifacts import LoadedDenoiser
from kdiffusion.commands import train
from kdiffusion.diffusion.card import CardError, DenoiserCard
from kdiffusion.diffusion.guidance import check_strength
from kdiffusion.diffusion.options import SamplingOptions
from kdiffusion.diffusion.samplers import SAMPLERS
from kdiffusion.diffusion.sampling import sample
from kdiffusion.diffusion.schedules import VARIANCES
from kdiffusion.diffusion.spacing import SPACINGS
from kdiffusion.runs import PRESETS
from kdiffusion.runs.config import Config

ANY_NUMBER = st.integers() | st.floats() | st.sampled_from([10**400, -(2**63), 1e308, 5e-324])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | ANY_NUMBER | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
CARD = DenoiserCard(
    image_shape=(2, 3, 1),
    class_names=("cat", "dog"),
    null_label=2,
    prediction_type="v",
    alphas_cumprod=tuple(np.linspace(0.99, 0.01, 12).tolist()),
    dataset="toy",
    preset="toy",
    images_seen=0,
    ema_decay=0.0,
    sampler="ddim",
    steps=3,
    guidance_strength=1.0,
)
FIELDS = json.loads(CARD.to_json())
CONFIG = json.loads(PRESETS["digits"].to_json())
PLACES = [(section, name) for section in CONFIG if section != "preset" for name in CONFIG[section]]

many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _card_or_error(text):
    try:
        card = DenoiserCard.from_json(text)
    except CardError:
        return
    # What is let in is whole: it survives, and a schedule comes of it.
    assert DenoiserCard.from_json(card.to_json()) == card
    assert card.schedule.num_timesteps >= card.steps >= 1


@many
@given(st.text() | ANY_JSON.map(json.dumps))
def test_any_text_is_a_card_or_a_card_error(text):
    _card_or_error(text)


@many
@given(st.sampled_from(sorted(FIELDS)), ANY_JSON)
def test_a_card_with_any_value_in_a_field(name, value):
    _card_or_error(json.dumps({**FIELDS, name: value}))


@many
@given(st.binary(max_size=8), st.integers(0, len(CARD.to_json())))
def test_a_card_with_any_bytes_in_it(junk, place):
    content = CARD.to_json().encode()
    _card_or_error(content[:place] + junk + content[place + len(junk) :])


@many
@given(st.text() | ANY_JSON.map(json.dumps))
def test_any_text_is_a_configuration_or_a_value_error(text):
    try:
        config = Config.from_json(text)
    except ValueError:
        return
    assert Config.from_json(config.to_json()) == config


@many
@given(st.sampled_from(PLACES), ANY_JSON)
def test_a_configuration_with_any_value_in_a_field(place, value):
    section, name = place
    changed = {**CONFIG, section: {**CONFIG[section], name: value}}
    try:
        config = Config.from_json(json.dumps(changed))
    except ValueError:
        return
    assert Config.from_json(config.to_json()) == config


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PLACES), st.text(max_size=12))
def test_any_word_after_a_flag_of_the_command(place, word):
    section, name = place
    flag = f"--{section}.{name}".replace("_", "-")
    with contextlib.suppress(SystemExit, ValueError):
        train.parse(["digits", flag, word])


SENSIBLE = {
    "sampler": st.sampled_from(sorted(SAMPLERS)),
    "steps": st.integers(1, 12),
    "spacing": st.sampled_from(sorted(SPACINGS)),
    "guidance_strength": st.floats(0, 8),
    "guidance_interval": st.none() | st.tuples(st.floats(0, 1), st.floats(1, 12)),
    "guidance_rescale": st.floats(0, 1),
    "eta": st.none() | st.floats(0, 1),
    "variance": st.none() | st.sampled_from(sorted(VARIANCES)),
    "clip": st.booleans(),
    "dynamic_threshold": st.none() | st.floats(0.5, 1),
}


def _blur(noisy_image, timestep, label):
    return 0.5 * noisy_image + 0.1 * label[:, None, None, None].astype(np.float32)


DENOISER = LoadedDenoiser(CARD, Path("toy"), _blur)


def _images_or_error(labels, seeds, options):
    try:
        images = sample(DENOISER, labels, seeds, progress=False, **options)
    except ValueError:
        return
    assert images.shape == (len(seeds), 2, 3, 1)
    assert images.dtype == np.float32
    assert np.all(np.isfinite(images))


def test_every_option_is_tried():
    assert set(SENSIBLE) == {field.name for field in dataclasses.fields(SamplingOptions)}


@many
@given(st.fixed_dictionaries({}, optional=SENSIBLE), st.integers(0, 3), st.integers(0, 2**70))
def test_sensible_choices_in_any_combination(options, label, seed):
    _images_or_error([label], [seed], options)


@many
@given(st.dictionaries(st.sampled_from(sorted(SENSIBLE)), ANY_JSON, min_size=1, max_size=2))
def test_any_value_of_a_choice(options):
    _images_or_error([0, 1], [0, 1], options)


@many
@given(ANY_JSON, st.lists(ANY_JSON, max_size=3))
def test_any_labels_and_seeds(labels, seeds):
    _images_or_error(labels, seeds, {"steps": 1})


@many
@given(ANY_JSON)
def test_any_guidance_strength(value):
    try:
        check_strength(value)
    except ValueError:
        return
    assert np.isfinite(np.float32(value))
