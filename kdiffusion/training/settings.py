"""Types of settings, with their bounds: what a configuration and an objective declare fields by."""

import os
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, FiniteFloat
from pydantic_core import core_schema
from tyro.constructors import PrimitiveConstructorSpec


class OneOf(PrimitiveConstructorSpec[str]):
    """In an `Annotated[str, OneOf(TABLE)]`: the names that the value must be one of."""

    def __init__(self, names: Iterable[str]):
        choices = tuple(names)
        super().__init__(
            1, f"{{{','.join(choices)}}}", lambda words: words[0], choices.__contains__,
            lambda value: [value], choices,
        )  # fmt: skip

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.literal_schema(list(self.choices or ()))


Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Fraction = Annotated[FiniteFloat, Field(ge=0, le=1)]
BelowOne = Annotated[FiniteFloat, Field(ge=0, lt=1)]
PositiveFloat = Annotated[FiniteFloat, Field(gt=0)]
NotNegativeFloat = Annotated[FiniteFloat, Field(ge=0)]
Text = Annotated[str, BeforeValidator(lambda value: os.fspath(value))]  # a path, too

STRICT = ConfigDict(extra="forbid")
