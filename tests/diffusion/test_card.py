"""The card: every field survives JSON, and a card that contradicts itself is refused."""

import dataclasses
import json
import math

import numpy as np
import pytest

from kdiffusion.diffusion.card import (
    CARD_MINOR_VERSION,
    CARD_VERSION,
    ConditionImage,
    DataSplit,
    DenoiserCard,
    Number,
    Parent,
)
from kdiffusion.diffusion.schedules import make_schedule

FIELDS = {
    "image_shape": (32, 16, 3),
    "class_names": ("airplane", "automobile", "vögel"),
    "null_label": 3,
    "prediction_type": "v",
    "alphas_cumprod": tuple(make_schedule("cosine", 1000).alphas_cumprod),
    "dataset": "cifar10",
    "preset": "cifar10_small",
    "images_seen": np.int64(102_400_000),
    "ema_decay": 0.9999,
    "sampler": "ddim",
    "steps": 4,
    "timesteps": (999, 640, 320, 90),
    "spacing": "leading",
    "clip": False,
    "variance": "fixed_large",
    "coefficients": ((0.1, -0.1, 0.0, 0.0), (0.2, 0.3, 1 / 3, 0.0), (1e-9, 0, 0, 1), (1, 2, 3, 4)),
    "guidance_strength": np.float32(0.3),
    "guidance_interval": (0.25, 4.0),
    "data_split": DataSplit(seed=7, validation_fraction=0.25, sha256="0123456789abcdef" * 4),
    "numbers": (Number(name="slant", mean=0.1, std=1 / 3, low=-20, high=20, unit="degrees"),),
    "image": ConditionImage(channels=4, meaning="masked"),
    "parent": Parent(name="denoiser.safetensors", sha256="fedcba9876543210" * 4),
}


def test_every_field_survives_json_bit_for_bit():
    card = DenoiserCard(**FIELDS)
    again = DenoiserCard.from_json(card.to_json())
    assert again == card
    for name, value in FIELDS.items():
        assert getattr(again, name) == value, name
    assert again.format_version == CARD_VERSION
    assert again.value_range == (-1.0, 1.0)
    assert again.schedule == make_schedule("cosine", 1000)
    names = {field.name for field in dataclasses.fields(card)}
    assert names == FIELDS.keys() | {"value_range", "format_version"}


def changed(**changes):
    return {**json.loads(DenoiserCard(**FIELDS).to_json()), **changes}


def test_a_card_of_a_newer_minor_version_opens_without_what_it_adds():
    newer = changed(format_minor_version=CARD_MINOR_VERSION + 1, colour="new")
    newer["data_split"]["kind"] = "new"
    card = DenoiserCard.from_json(json.dumps(newer))
    assert card == DenoiserCard(**FIELDS)
    assert json.loads(card.to_json())["format_minor_version"] == CARD_MINOR_VERSION


def test_a_recommended_sampler_that_is_not_known_is_replaced_and_told():
    with pytest.warns(UserWarning, match="recommends the sampler 'mine', which this version lacks"):
        card = DenoiserCard.from_json(json.dumps(changed(sampler="mine")))
    assert card.sampler == "ddim"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("value_range", (0.0, 1.0)),
        ("alphas_cumprod", (0.5, 0.6)),
        ("alphas_cumprod", ()),
        ("timesteps", (999, 640, 640, 90)),
        ("steps", 5),
        ("spacing", "wide"),
        ("variance", "learned"),
        ("coefficients", ((0.1, 0.2, 0.3, 0.4),)),
        ("guidance_strength", math.nan),
        ("guidance_interval", (0.5, math.inf)),
        ("guidance_interval", (1e8, 1e9)),
        *((name, "four") for name in ("null_label", "images_seen", "steps", "ema_decay")),
    ],
)
def test_a_card_that_would_sample_wrongly_is_refused(name, value):
    with pytest.raises(ValueError, match="" if value in ("four", ()) else f"`{name}`"):
        DenoiserCard.from_json(json.dumps(changed(**{name: value})))


def test_an_interval_without_ends_is_everywhere_and_no_infinity_is_written():
    card = DenoiserCard(**{**FIELDS, "guidance_interval": (0, math.inf)})
    assert card.guidance_interval is None
    assert DenoiserCard.from_json(card.to_json()) == card
