"""The vectors of `conformance/v1`, and how one compares a loop with them."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / "conformance" / "v1"


def read(name):
    """The cases of a file."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


TRACES = {case["name"]: case for case in (*read("traces"), *read("conditional_traces"))}


def assert_follows(case, steps, atol):
    """That a loop goes where a case of traces.json does.

    Args:
        case: dict.
        steps: list of dicts as its `steps`, whose looks hold no predictions.
        atol: float. Largest difference of x and x0.
    """
    for step, want in zip(steps, case["steps"], strict=True):
        looks, asked = (sorted(each["looks"], key=place) for each in (step, want))
        assert [*map(place, looks)] == [*map(place, asked)]
        for look, expected in zip(looks, asked, strict=True):
            np.testing.assert_allclose(look["x"], expected["x"], rtol=0, atol=1e-6)  # float32
        assert step["s"] == want["s"]
        for name in ("x0", "x"):
            np.testing.assert_allclose(step[name], want[name], rtol=0, atol=atol, err_msg=name)


def place(look):
    """What the network is asked, but for x."""
    more = (look.get(name) or () for name in ("numbers", "image"))
    return look["t"], look["label"], *map(tuple, more)
