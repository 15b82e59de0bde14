"""The space of studies that look for no network: it holds one architecture, which has no cells and costs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from moonas.architecture import Architecture
from moonas.errors import ArchitectureError
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.operations import OperationCost
from moonas.spaces.space import CellGroup, Option, Slot
from moonas.study.spaces import NothingConfig

NOTHING = Architecture("none", {}, {})


class Nothing:
    """No groups, so that there is nothing to choose."""

    name = "none"

    def __init__(self, config: NothingConfig) -> None:
        self.groups: Mapping[str, CellGroup] = {}

    @classmethod
    def holding(cls, architecture: Architecture) -> Nothing:
        """The space itself. Raises ArchitectureError."""
        space = cls(NothingConfig())
        space.check(architecture)
        return space

    def slots(self) -> list[Slot]:
        """None."""
        return []

    def architecture(self, options: Sequence[Option]) -> Architecture:
        """The only one."""
        return NOTHING

    def check(self, architecture: Architecture) -> None:
        """Raise ArchitectureError for any other architecture."""
        if architecture != NOTHING:
            raise ArchitectureError("a study of functions has no architectures")

    def cells(self, skeleton: Skeleton) -> tuple[CellPlan, ...]:
        """None."""
        return ()

    def fixed_cost(self, skeleton: Skeleton) -> OperationCost:
        """Nothing."""
        return OperationCost(0, 0)

    def function_key(self, architecture: Architecture) -> str:
        """Its key."""
        return architecture.key
