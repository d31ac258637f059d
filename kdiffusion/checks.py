"""Names, numbers and seeds that a caller hands in, refused in words: what is needed, what came."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection

import numpy as np


def check_name(name: str, value: str, table: Collection[str]) -> str:
    """A string that is in the table; `name` is the argument's."""
    if not (isinstance(value, str) and value in table):
        raise ValueError(f"`{name}` must be one of {', '.join(table)}. Received: {name}={value!r}")
    return value


def check_number(
    name: str, value: float, need: str, low: float = -math.inf, high: float = math.inf
) -> float:
    """A finite number from `low` to `high` as a Python float; `need` says so in words."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not (is_number and low <= value <= high and _has_finite_float(value)):
        raise ValueError(f"`{name}` must be {need}. Received: {name}={value!r}")
    return float(value)


def _has_finite_float(value) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond them
        return False


def check_whole(name: str, value: int, least: int = 1, most: int | None = None) -> int:
    """A whole number from `least` to `most` as a Python int; `name` is the argument's."""
    is_whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not (is_whole and value >= least and (most is None or value <= most)):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be a whole number {limits}. Received: {name}={value!r}")
    return int(value)


def check_seed(seed: int) -> int:
    """The seed as a Python int; one that the generator can't take is refused."""
    is_integer = hasattr(seed, "__index__") and not isinstance(seed, (bool, np.ndarray))
    if not (is_integer and 0 <= seed < 2**64):
        raise ValueError(f"`seeds` must be integers from 0 to 2^64 - 1. Received: {seed!r}")
    return int(seed)
