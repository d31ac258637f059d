"""Names that are to be looked up: a row of a table, arguments of a function."""

import inspect
from collections.abc import Callable, Collection


def check_name(name: str, value: str, table: Collection[str]) -> str:
    """A string that is in the table; `name` is the argument's."""
    if value not in table:
        raise ValueError(f"`{name}` must be one of {', '.join(table)}. Received: {name}={value!r}")
    return value


def check_arguments(name: str, given: Collection[str], function: Callable) -> None:
    """Refuses names that are no arguments of a function; `name` is what they were given as."""
    known = inspect.signature(function).parameters
    unknown = [each for each in given if each not in known]
    if unknown:
        raise ValueError(
            f"`{name}` must be among {', '.join(known)}. Received: {', '.join(unknown)}"
        )
