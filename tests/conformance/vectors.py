"""The vectors of `conformance/v1`, and how one compares a loop with them."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[2] / "conformance" / "v1"


def read(name):
    """The cases of a file."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


TRACES = {case["name"]: case for case in (*read("traces"), *read("conditional_traces"))}


def first_difference(case, steps, atol):
    """Where a trace differs first, in words; None where it is the case's.

    Args:
        case: dict, a case of traces.json.
        steps: list of dicts as its `steps`, whose looks hold no predictions.
        atol: float. Largest difference of x and x0.
    """
    if len(steps) != len(case["steps"]):
        return f"{len(steps)} steps"
    for number, (step, want) in enumerate(zip(steps, case["steps"], strict=True)):
        looks, asked = (sorted(each["looks"], key=place) for each in (step, want))
        if [place(look) for look in looks] != [place(look) for look in asked]:
            return f"step {number}: what the network is asked"
        for look, expected in zip(looks, asked, strict=True):
            if not np.allclose(look["x"], expected["x"], rtol=0, atol=1e-6):  # float32
                return f"step {number}: x before the network"
        if step["s"] != want["s"]:
            return f"step {number}: s"
        for name in ("x0", "x"):
            if not np.allclose(step[name], want[name], rtol=0, atol=atol):
                return f"step {number}: {name}"
    return None


def place(look):
    """What the network is asked, but for x."""
    more = (look.get(name) or () for name in ("numbers", "image"))
    return look["t"], look["label"], *map(tuple, more)
