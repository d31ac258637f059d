"""The card: everything survives JSON, nothing wrong gets in."""

import dataclasses
import json

import numpy as np
import pytest

from kdiffusion.diffusion.card import (
    ADDED_IN_MINOR_VERSION,
    CARD_MINOR_VERSION,
    CARD_VERSION,
    CardError,
    DataSplit,
    DenoiserCard,
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
    "images_seen": 102_400_000,
    "ema_decay": 0.9999,
    "sampler": "ddim",
    "steps": 50,
    "guidance_strength": 0.3,
    "guidance_interval": (0.25, 4.0),
    "data_split": DataSplit(seed=7, validation_fraction=0.25, sha256="0123456789abcdef" * 4),
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
    assert {field.name for field in dataclasses.fields(card)} == {
        *FIELDS, "value_range", "format_version",
    }  # fmt: skip


def test_a_printed_card_can_be_read():
    text = repr(DenoiserCard(**FIELDS))
    assert "image_shape=(32, 16, 3)" in text
    assert len(text) < 1000


def test_numpy_numbers_and_lists_are_welcome():
    card = DenoiserCard(
        **{
            **FIELDS,
            "image_shape": [np.int64(32), 16, 3],
            "images_seen": np.int64(5),
            "guidance_strength": np.float32(0.5),
            "alphas_cumprod": np.array(FIELDS["alphas_cumprod"]),
        }
    )
    again = DenoiserCard.from_json(card.to_json())
    assert again == card
    assert again.alphas_cumprod == FIELDS["alphas_cumprod"]


BAD_FIELDS = [
    ("image_shape", (32, 16)),
    ("image_shape", (32, 16, 4)),
    ("image_shape", (0, 16, 3)),
    ("image_shape", (32.5, 16, 3)),
    ("image_shape", (32, 16, 3, 3)),
    ("image_shape", 32),
    ("class_names", ()),
    ("class_names", ("a", "a", "b")),
    ("class_names", (1, 2, 3)),
    ("class_names", "abc"),
    ("null_label", 2),
    ("null_label", "3"),
    ("prediction_type", "score"),
    ("alphas_cumprod", (0.5, 0.6)),
    ("alphas_cumprod", (0.5, float("nan"))),
    ("alphas_cumprod", ("a", "b")),
    ("alphas_cumprod", np.array(0.5)),
    ("dataset", 3),
    ("preset", 3),
    ("images_seen", -1),
    ("images_seen", 1.5),
    ("ema_decay", 1.5),
    ("ema_decay", float("nan")),
    ("ema_decay", 10**400),
    ("alphas_cumprod", (10**400,)),
    ("sampler", "magic"),
    ("steps", 0),
    ("steps", 1001),
    ("steps", True),
    ("steps", np.array([1, 2])),
    ("guidance_strength", float("nan")),
    ("guidance_strength", "3"),
    ("guidance_strength", -2.0),
    ("guidance_interval", 2.0),
    ("guidance_interval", (1.0,)),
    ("guidance_interval", (2.0, 1.0)),
    ("guidance_interval", (-1.0, 1.0)),
    ("guidance_interval", (0.0, float("inf"))),
    ("guidance_interval", (1e8, 1e9)),
    ("image_shape", (8, 8, 3.0)),
    ("value_range", (0.0, 1.0)),
    ("data_split", 3),
    ("data_split", {"seed": 1}),
    ("data_split", {"seed": -1, "validation_fraction": 0.1}),
    ("data_split", {"seed": 1, "validation_fraction": 1.0}),
    ("data_split", {"seed": 1, "validation_fraction": float("nan")}),
    ("data_split", {"seed": 1, "validation_fraction": 0.1, "sha256": "0123"}),
    ("parent", "runs/digits"),
    ("parent", {"name": "digits"}),
    ("parent", {"name": 3, "sha256": "0123456789abcdef" * 4}),
    ("parent", {"name": "digits", "sha256": "0123456789abcdeg" * 4}),
    ("format_version", 2),
    ("format_version", "1"),
    *((name, None) for name in FIELDS if name not in ADDED_IN_MINOR_VERSION),
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS)
def test_every_field_is_validated(name, value):
    with pytest.raises(CardError, match=f"^`{name}.*Received: {name}"):
        DenoiserCard(**{**FIELDS, name: value})


def test_every_field_has_a_bad_value_above():
    assert {name for name, _ in BAD_FIELDS} == {f.name for f in dataclasses.fields(DenoiserCard)}


def test_epsilon_with_zero_terminal_snr_is_refused():
    schedule = make_schedule("linear", 1000, zero_terminal_snr=True)
    fields = {**FIELDS, "alphas_cumprod": schedule.alphas_cumprod}
    DenoiserCard(**fields)
    with pytest.raises(CardError, match="zero terminal SNR"):
        DenoiserCard(**{**fields, "prediction_type": "epsilon"})


def changed(**changes):
    fields = json.loads(DenoiserCard(**FIELDS).to_json())
    fields.update(changes)
    return {name: value for name, value in fields.items() if value != "remove"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[1]", "format_version"),
        ("{}", "format_version"),
        (json.dumps(changed(format_version=2, colour="new")), "newer kdiffusion"),
        (json.dumps(changed(format_minor_version=-1)), "format_minor_version"),
        (json.dumps(changed(format_minor_version=1.5)), "format_minor_version"),
        (json.dumps(changed(format_minor_version=99, steps="remove")), "Missing: \\['steps'\\]"),
        (json.dumps(changed(data_split="remove")), "Missing: \\['data_split'\\]"),
        (json.dumps(changed(colour="new")), "unknown: \\['colour'\\]"),
        (json.dumps(changed(steps="remove")), "Missing: \\['steps'\\]"),
        (json.dumps(changed(guidance_strength=float("nan"))), "guidance_strength"),
    ],
)
def test_text_that_is_no_card_is_refused(text, message):
    with pytest.raises(CardError, match=message):
        DenoiserCard.from_json(text)


def test_a_card_of_the_first_minor_version_opens():
    """Its fields are those that version 1 began with: files that were written then are read."""
    lacks = dict.fromkeys(ADDED_IN_MINOR_VERSION, "remove")
    text = json.dumps(changed(format_minor_version="remove", **lacks))
    expected = DenoiserCard(**{**FIELDS, **dict.fromkeys(ADDED_IN_MINOR_VERSION)})
    assert DenoiserCard.from_json(text) == expected


@pytest.mark.parametrize("minor_version", range(1, CARD_MINOR_VERSION))
def test_a_card_of_each_minor_version_before_opens(minor_version):
    later = [name for name, added in ADDED_IN_MINOR_VERSION.items() if added > minor_version]
    text = json.dumps(changed(format_minor_version=minor_version, **dict.fromkeys(later, "remove")))
    expected = DenoiserCard(**{**FIELDS, **dict.fromkeys(later)})
    assert DenoiserCard.from_json(text) == expected


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


def test_a_card_without_what_may_be_missing_survives_too():
    card = DenoiserCard(**{**FIELDS, **dict.fromkeys(ADDED_IN_MINOR_VERSION)})
    assert DenoiserCard.from_json(card.to_json()) == card
