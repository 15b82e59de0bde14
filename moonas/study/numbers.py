"""Numbers as people write them in study files and on the command line: `1e-4`, `600e6`, `2M`, `30k`.

YAML 1.1 takes `1e-4` and `600e6` for text, so every numeric field reads text too.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

SUFFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([kKMGB]?)")


def parse_number(value: Any) -> int | float:
    """An int or a finite float from a number or from text such as `2M`. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected a number, got {value!r}")
    match = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and match is None:
        raise ValueError(f"{value!r} is not a number; write it like 0.025, 1e-4, 600e6, 30k or 2M")
    try:
        number = Decimal(match[1]) * SUFFIXES[match[2]] if match else value  # in decimal, where 1.001k is 1001
        finite = math.isfinite(float(number))
    except ArithmeticError:  # beyond every float
        finite = False
    if not finite:
        raise ValueError(f"{value!r} is not a finite number")
    return int(number) if number == int(number) else float(number)


def parse_whole(value: Any) -> int:
    """A whole number, in any of the forms of `parse_number`. Raises ValueError."""
    number = parse_number(value)
    if not isinstance(number, int):
        raise ValueError(f"expected a whole number, got {value!r}")
    return number


Number = Annotated[float, BeforeValidator(parse_number)]
Whole = Annotated[int, BeforeValidator(parse_whole)]
Positive = Annotated[Number, Field(gt=0)]
NonNegative = Annotated[Number, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Share = Annotated[Number, Field(gt=0, le=1)]
Decay = Annotated[Number, Field(ge=0, lt=1)]
Count = Annotated[Whole, Field(ge=1)]
CountOrZero = Annotated[Whole, Field(ge=0)]
Seed = Annotated[Whole, Field(ge=0, lt=2**63)]  # what every SQL database can hold
