"""`continue_from`: which finished search of a method variant a later one starts from, and how much shorter it may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Literal

from pydantic import ConfigDict

from moonas.study.numbers import Share

SCHEDULE = {"epochs": ceil, "warmup_epochs": floor, "weight_ramp_epochs": floor}  # so that a shorter search still searches


@dataclass(frozen=True, kw_only=True)
class ContinueFrom:
    """Which finished search a later one of the same variant starts from."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: Literal["nearest"]
    """the finished search whose budget is nearest"""
    epochs: Share = 1.0
    """epochs of a search that continues another, as a share of the variant's: `epochs` rounded up, `warmup_epochs` and
    `weight_ramp_epochs` rounded down"""

    def shortened(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a method with its numbers of epochs brought down to the share: `epochs` rounded up, the others down."""
        shares = {name: round(self.epochs * settings[name], 9) for name in SCHEDULE if name in settings}
        return {**settings, **{name: SCHEDULE[name](share) for name, share in shares.items()}}
