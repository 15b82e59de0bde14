"""A space unlike DARTS's in shape: three cell inputs, edges that go past nodes, some nodes beside the output."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from moonas.architecture import Architecture
from moonas.networks.frame import Surroundings
from moonas.skeleton import Skeleton
from moonas.spaces.layout import CellPlan
from moonas.spaces.space import CellGroup
from moonas.study.spaces import DartsCnnConfig, SpaceEntry

OPERATIONS = ("none", "skip_connect", "sep_conv_3x3", "max_pool_3x3", "dil_conv_3x3")
EDGES = ((0, 3), (1, 3), (2, 4), (3, 4), (0, 5), (4, 5), (3, 6), (5, 6))
ENTRY = SpaceEntry(config=DartsCnnConfig, load="tests.inner.shapes:ThreeInputs", frame="tests.inner.shapes:surroundings")


class ThreeInputs:
    """output: (6,) for cells without preprocessing, several nodes for cells with it. The last cell reduces where it may."""

    name = "three-inputs"

    def __init__(self, output: tuple[int, ...]) -> None:
        self.groups = {"only": CellGroup(OPERATIONS, EDGES, 3, output, kept=None)}

    def cells(self, skeleton: Skeleton) -> list[CellPlan]:
        width, preprocessed = len(self.groups["only"].output), len(self.groups["only"].output) > 1
        channels, inputs, plans = skeleton.channels, (skeleton.channels,) * 3, []
        for index in range(skeleton.cells):
            last = preprocessed and index == skeleton.cells - 1
            size = skeleton.input_shape[1:]
            plans.append(CellPlan(index, "only", channels, inputs, size, last, False, preprocessed))
            inputs = (*inputs[1:], width * channels)
        return plans

    def architecture(self, operations: Sequence[str]) -> Architecture:
        """One operation per edge."""
        edges = [(node, predecessor, name) for (predecessor, node), name in zip(EDGES, operations, strict=True)]
        return Architecture(self.name, {"only": edges}, {"only": self.groups["only"].output})


class ThreeConvolutions(nn.Module):
    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(skeleton.input_shape[0], skeleton.channels, 1) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return tuple(layer(x) for layer in self.layers)


def surroundings(skeleton: Skeleton, plans: Sequence[CellPlan]) -> Surroundings:
    return Surroundings(ThreeConvolutions(skeleton), {}, nn.Identity())
