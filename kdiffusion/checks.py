"""Names, numbers and seeds that a caller hands in, refused in words: what is needed, what came."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Collection
from typing import Any


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
    whole = whole_number(value)
    if whole is None or whole < least or (most is not None and whole > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be a whole number {limits}. Received: {name}={value!r}")
    return whole


def whole_number(value: Any) -> int | None:
    """A whole number of Python or NumPy as a Python int; None for anything else, a bool too."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def check_seed(seed: int) -> int:
    """The seed as a Python int; one that the generator can't take is refused."""
    whole = whole_number(seed)
    if whole is None or not 0 <= whole < 2**64:
        raise ValueError(f"`seeds` must be integers from 0 to 2^64 - 1. Received: {seed!r}")
    return whole
