"""Names that are to be looked up in a table."""

from collections.abc import Collection
from typing import TypeVar

T = TypeVar("T")


def check_name(name: str, value: T, table: Collection[T]) -> T:
    """A value that is in the table; `name` is the argument's."""
    if value not in table:
        names = ", ".join(map(str, table))
        raise ValueError(f"`{name}` must be one of {names}. Received: {name}={value!r}")
    return value
