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
        "label=3&seed=18446744073709551615&steps=1&guidance=2.25&sampler=dpmpp_2m&to=8&at=0.75",
    ],
)
def test_a_link_comes_back_as_it_was(read, query):
    assert read(query) == query


def test_a_fitted_sampler_is_there_for_the_model_it_was_fitted_to(ask, make_card, read):
    assert read("sampler=fitted").startswith("RangeError: “sampler” must be")
    fitted = make_card(
        sampler="fitted", steps=2, timesteps=(999, 90), coefficients=[[0.1, 0, 0, 0]] * 2
    )
    queries = ["", "steps=2&sampler=fitted", "steps=3&sampler=fitted", "steps=3"]
    answers = ask("queries", queries=queries, card=json.loads(fitted.to_json()))
    assert answers[0].endswith("sampler=fitted&timesteps=999+90")
    assert answers[1] == answers[0]
    assert answers[2].startswith("RangeError: “steps” must be 2 for the sampler")
    assert answers[3].endswith("steps=3&guidance=0&sampler=unipc")


def test_named_timesteps_stay_until_the_number_of_steps_changes(ask, make_card):
    card = make_card(steps=3, timesteps=(999, 640, 90), guidance_strength=1.0)  # no student
    expected = {
        "": "steps=3&timesteps=999+640+90",
        "steps=3&timesteps=999+640+90": "steps=3&timesteps=999+640+90",
        "timesteps=5+4": "steps=2&timesteps=5+4",
        "steps=4&timesteps=999+640+90": "steps=4",
        "steps=3&timesteps=": "steps=3&timesteps=999+640+90",
    }
    for link, read in zip(
        expected, ask("queries", queries=[*expected], card=json.loads(card.to_json())), strict=True
    ):
        fields = [pair for pair in read.split("&") if "steps=" in pair]
        assert "&".join(fields) == expected[link], link


@pytest.mark.parametrize(
    "query",
    [
        "label=4", "seed=18446744073709551616", "steps=1001", "guidance=", "at=1.5", "sampler=x",
        "timesteps=5+5", "timesteps=1000", "timesteps=3,2",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(read, query):
    assert read(f"to=1&{query}").startswith(f"RangeError: “{query.split('=')[0]}” must be")
