"""Which trainings are given up before their end: `pruning: {quantile: 0.95}`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Annotated

from pydantic import ConfigDict, Field

from moonas.study.numbers import Count, Decay, Number

SHAPING = 10  # finished trainings that say how curves of a study usually run; all others say how far one may stray from that


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """When a training is given up because it cannot reach the front any more."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    quantile: Annotated[Number, Field(ge=0.5, lt=1)] = 0.95
    """quantile of the bound on the accuracy that a training may still reach"""
    after: Count | None = None
    """trainings that must have run to their end before any is given up; where absent as few as the bound can do with, 19 at a
    quantile of 0.9, 29 at 0.95 and 109 at 0.99"""
    every: Count = 1
    """epochs between two looks at a training"""
    spared: Decay = 0.1
    """share of the trainings that always run to their end, which keeps the bound honest"""

    @property
    def fewest(self) -> int:
        """Finished trainings that the bound needs: of n beyond the shaping ones, the ceil((n + 1) quantile)-th must be there."""
        quantile = Fraction(str(self.quantile))
        return SHAPING + ceil(quantile / (1 - quantile))

    @property
    def least(self) -> int:
        """Finished trainings before any is given up."""
        return self.after or self.fewest
