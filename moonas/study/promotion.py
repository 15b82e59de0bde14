"""Promotion: a study's networks train for a few epochs first, and only the best go on to the protocol itself."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from moonas.study.numbers import Count, Whole
from moonas.study.validation import Place


def _as_tuple(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _ascending(epochs: tuple[int, ...]) -> tuple[int, ...]:
    if not epochs or any(later <= earlier for earlier, later in pairwise(epochs)):
        raise ValueError(f"must ascend, as [2, 6] does, got {list(epochs)}")
    return epochs


Rungs = Annotated[
    tuple[Count, ...],
    BeforeValidator(_as_tuple, json_schema_input_type=Count | tuple[Count, ...]),
    AfterValidator(_ascending),
]


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """The rungs below the protocol; each is a training of its own, with the protocol's other settings."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    epochs: Rungs
    """epochs of the trainings that come first, ascending, and fewer than the protocol's; one number stands for a list of one"""
    factor: Annotated[Whole, Field(ge=2)] = 3
    """of the networks trained for so long, one in so many goes on"""


def check_promotion(place: Place, promotion: Promotion | None, protocol: Any, methods: Any) -> None:
    """The rungs need a protocol that trains for a number of epochs, the same in every trial, and lie below it."""
    if promotion is None:
        return
    if not hasattr(protocol.settings, "epochs"):
        (place / "promotion").wrong(f"begins with fewer epochs, and the protocol {protocol.name!r} has none; `short` has")
        return
    fewest = protocol.settings.epochs
    for index, method in enumerate(methods):
        if method.fixed and "epochs" in method.open:
            (place / "methods" / index / "epochs").wrong("is a parameter of the trial, so `promotion` cannot set it: leave one out")
        elif method.fixed and method.settings["epochs"] is not None:
            fewest = min(fewest, method.settings["epochs"])
    if promotion.epochs[-1] >= fewest:
        (place / "promotion" / "epochs").wrong(
            f"must lie below the protocol's own {fewest}, got {', '.join(map(str, promotion.epochs))}"
        )
