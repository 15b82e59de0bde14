"""Layout: where each cell of a macro network stands, with its channels and resolution. Costs and networks both follow it."""

from __future__ import annotations

from dataclasses import dataclass

from moonas.errors import SkeletonError
from moonas.skeleton import Skeleton
from moonas.spaces.operations import Size, halve


@dataclass(frozen=True)
class CellPlan:
    """One cell of a network.

    group: the cell group whose architecture it has.
    channels: C_k, of each of its nodes.
    input_channels: of each cell input, the output of the cell before standing last, before preprocessing.
    size: (height, width) of all inputs after preprocessing.
    reduction: edges leaving the cell's inputs have stride 2.
    after_reduction: input 0 has twice the resolution and is preprocessed by a factorized reduction.
    preprocessed: a convolution brings each input to the cell's channels; where false, they come with these channels.
    connections: by input, the group that chooses what brings it to the cell's channels instead; empty where nothing is to choose.
    """

    index: int
    group: str
    channels: int
    input_channels: tuple[int, ...]
    size: Size
    reduction: bool
    after_reduction: bool
    preprocessed: bool = True
    connections: tuple[str, ...] = ()

    @property
    def output_size(self) -> Size:
        """(height, width) of the cell's nodes and output."""
        return halve(self.size) if self.reduction else self.size

    def stride(self, predecessor: int) -> int:
        """Of the edges that leave node `predecessor`."""
        return 2 if self.reduction and predecessor < len(self.input_channels) else 1


@dataclass(frozen=True)
class StemPlan:
    """channels: of the two outputs that feed the first cell. size: (height, width) of the second."""

    channels: tuple[int, int]
    size: Size
    after_reduction: bool


def plan_stem(skeleton: Skeleton) -> StemPlan:
    """The stem's outputs: one that is used twice, or two, the second at half the size of the first."""
    _, height, width = skeleton.input_shape
    channels = skeleton.channels if skeleton.stem == "imagenet" else 3 * skeleton.channels
    if skeleton.stem == "cifar":
        return StemPlan((channels, channels), (height, width), False)
    return StemPlan((channels, channels), halve(halve(halve((height, width)))), True)


def plan_darts_cells(skeleton: Skeleton, nodes: int, levels: int = 1) -> tuple[CellPlan, ...]:
    """Normal cells with reductions at L//3 and 2L//3, where the channels double; a cell's output concatenates `nodes` nodes.

    levels: 1: groups normal and reduce; 3: normal0 before, normal1 between and normal2 after the reductions reduce0 and reduce1.
    Raises SkeletonError where a group would have no cell.
    Source: Liu et al., ICLR 2019, arXiv:1806.09055, and its published code.
    """
    least, what = (3, "2 of them reductions") if levels == 1 else (5, "with 3 levels, each before or after a reduction")
    if skeleton.cells < least:
        raise SkeletonError(f"skeleton: {skeleton.space} needs at least {least} cells ({what}), got {skeleton.cells}")
    reductions = {skeleton.cells // 3, 2 * skeleton.cells // 3}
    stem = plan_stem(skeleton)
    inputs, size, after_reduction, channels = stem.channels, stem.size, stem.after_reduction, skeleton.channels
    plans, level = [], 0
    for index in range(skeleton.cells):
        reduction = index in reductions
        channels *= 2 if reduction else 1
        group = ("reduce" if reduction else "normal") + (str(level) if levels > 1 else "")
        plan = CellPlan(index, group, channels, inputs, size, reduction, after_reduction)
        plans.append(plan)
        inputs, size, after_reduction = (inputs[1], nodes * channels), plan.output_size, reduction
        level += reduction
    return tuple(plans)
