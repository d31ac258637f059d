"""Names that are to be looked up in a table."""

from collections.abc import Collection


def check_name(name: str, value: str, table: Collection[str]) -> str:
    """A string that is in the table; `name` is the argument's."""
    if value not in table:
        raise ValueError(f"`{name}` must be one of {', '.join(table)}. Received: {name}={value!r}")
    return value
