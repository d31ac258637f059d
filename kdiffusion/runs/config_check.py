"""The values of a configuration against their types and bounds, and what is wrong in our words."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, TypeVar, dataclass_transform

from pydantic import ConfigDict, TypeAdapter, ValidationError

# What a value must be, by the kind of pydantic's error.
NEEDS = {
    "greater_than_equal": "be at least {ge}",
    "greater_than": "be above {gt}",
    "less_than_equal": "be at most {le}",
    "less_than": "be below {lt}",
    "multiple_of": "be a multiple of {multiple_of}",
    "literal_error": "be one of {expected}",
    "too_short": "have at least {min_length} value",
    "finite_number": "be a finite number",
    "int_from_float": "be a whole number",
    "int_parsing": "be a whole number",
    "int_type": "be a whole number",
    "float_parsing": "be a number",
    "float_type": "be a number",
    "bool_parsing": "be true or false",
    "bool_type": "be true or false",
    "string_type": "be text",
    "path_type": "be a path",
    "tuple_type": "be a list",
}


T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def section(cls: type[T]) -> type[T]:
    """Makes a class a part of the configuration: a frozen dataclass of checked fields."""
    setattr(cls, "__pydantic_config__", ConfigDict(extra="forbid"))  # noqa: B010
    return dataclasses.dataclass(frozen=True)(cls)


def checked(config_class: type, content: Any) -> dict[str, Any]:
    """The fields of a configuration, each of its type.

    Args:
        config_class: the dataclass, whose fields are sections, or of a simple type.
        content: {field: a section, or a dict of its fields, or a value}.

    Returns:
        {field: value}.

    Raises:
        ValueError: naming each field that is not valid, what it must be, and what it is.
    """
    if not isinstance(content, dict):
        raise ValueError(f"A configuration must be an object of sections. Received: {content!r}")
    fields = {field.name: field.type for field in dataclasses.fields(config_class)}
    faults = [f"`{name}` is no setting of this version" for name in content if name not in fields]
    values = {}
    for name in fields.keys() & content.keys():
        value = content[name]
        is_section = dataclasses.is_dataclass(fields[name])
        if is_section and dataclasses.is_dataclass(value):
            value = vars(value)
        try:
            values[name] = _adapter(fields[name]).validate_python(value)
        except ValidationError as error:
            faults += [_said(name, each) for each in error.errors()]
    if faults:
        raise ValueError("; ".join(faults))
    return values


@functools.cache
def _adapter(kind):
    return TypeAdapter(kind)


def _said(name, error):
    # A place within a list has no name of its own.
    name = ".".join([name, *(part for part in error["loc"] if isinstance(part, str))])
    if error["type"] == "unexpected_keyword_argument":
        return f"`{name}` is no setting of this version"
    need = NEEDS.get(error["type"])
    need = error["msg"] if need is None else need.format(**error.get("ctx", {}))
    return f"`{name}` must {need}. Received: {error['input']!r}"
