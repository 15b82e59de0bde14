"""Numbers as people write them in study files and on the command line: `1e-4`, `600e6`, `2M`, `30k`.

YAML 1.1 takes `1e-4` and `600e6` for text, so every numeric field reads text too.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

SUFFIXES = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9}
_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([kKMGB]?)")


def parse_number(value: Any) -> int | float:
    """An int or a finite float from a number or from text such as `2M`. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"expected a number, got {value!r}")
    if isinstance(value, str):
        match = _NUMBER.fullmatch(value.strip())
        if match is None:
            raise ValueError(f"{value!r} is not a number; write it like 0.025, 1e-4, 600e6, 30k or 2M")
        value = float(match[1].replace("_", "")) * SUFFIXES[match[2]]
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not a finite number")
    return int(value) if value == int(value) else value


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
Decay = Annotated[Number, Field(ge=0, lt=1)]
Count = Annotated[Whole, Field(ge=1)]
CountOrZero = Annotated[Whole, Field(ge=0)]
