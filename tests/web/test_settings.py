"""An image's settings in its link: whole, there and back, and refused with the reason."""

import json

import pytest


@pytest.fixture
def read(ask, make_card):
    """`read(query)`: the link that a link is understood as, or the error."""
    card = make_card(sampler="unipc", steps=12, guidance_strength=0.5)
    return lambda query: ask("queries", queries=[query], card=json.loads(card.to_json()))[0]


def test_an_empty_link_is_what_the_card_recommends(read):
    assert read("") == "label=0&seed=0&steps=12&guidance=0.5&sampler=unipc"


def test_a_sampler_that_the_page_lacks_is_replaced(ask, make_card):
    card = {**json.loads(make_card(steps=12).to_json()), "sampler": "of_the_future"}
    (query,) = ask("queries", queries=[""], card=card)
    assert query == "label=0&seed=0&steps=12&guidance=0&sampler=ddim"


@pytest.mark.parametrize(
    "query",
    [
        "label=2&seed=7&steps=1000&guidance=-1&sampler=ddpm",
        "label=3&seed=18446744073709551615&steps=1&guidance=2.25&sampler=heun&to=8&at=0.75",
    ],
)
def test_a_link_comes_back_as_it_was(read, query):
    assert read(query) == query


def test_a_walk_begins_in_the_middle(read):
    assert read("to=3").endswith("&to=3&at=0.5")


@pytest.mark.parametrize(
    ("query", "need"),
    [
        ("label=4", "“label” must be a whole number from 0 to 3"),
        ("label=cat", "“label” must be a whole number from 0 to 3"),
        ("seed=-1", "“seed” must be a whole number from 0 to 18446744073709551615"),
        ("seed=18446744073709551616", "“seed” must be a whole number from 0"),
        ("seed=1e3", "“seed” must be a whole number from 0"),
        ("to=", "“to” must be a whole number from 0"),
        ("steps=0", "“steps” must be a whole number from 1 to 1000"),
        ("steps=1001", "“steps” must be a whole number from 1 to 1000"),
        ("steps=2.5", "“steps” must be a whole number from 1 to 1000"),
        ("guidance=", "“guidance” must be a number of at least -1"),
        ("guidance=-1.5", "“guidance” must be a number of at least -1"),
        ("guidance=Infinity", "“guidance” must be a number of at least -1"),
        ("to=1&at=1.5", "“at” must be a number from 0 to 1"),
        ("sampler=toString", "“sampler” must be one of ddpm, ddim, heun"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(read, query, need):
    answer = read(query)
    assert answer.startswith(f"RangeError: {need}")
    assert answer.endswith(f"Received: {query.split('&')[-1]}")
