"""Computing a cell again in the backward pass instead of keeping what is inside it: less memory for more time.

After Chen et al. 2016, arXiv:1604.06174. Which cells are worth it is our own choice, see `leading_cells`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import is_dataclass, replace
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from moonas.networks.descent import resting
from moonas.spaces.layout import CellPlan


def leading_cells(plans: Sequence[CellPlan]) -> int:
    """How many cells, from the first, are to be computed again; the peak of the memory is as low as if all were.

    Cells behind them are kept as far as they take no more together than the largest cell alone, which is held once in any case:
    the backward pass has let go of them when it comes to that one. A cell's maps are taken to be as large as its output.
    """
    sizes = [plan.channels * plan.output_size[0] * plan.output_size[1] for plan in plans]
    kept = 0
    for index in reversed(range(len(sizes))):
        kept += sizes[index]
        if kept > max(sizes):
            return index + 1
    return 0


def recompute(cell: nn.Module, *arguments: Any) -> Tensor:
    """`cell(*arguments)`, keeping only arguments and output for the backward pass, which computes the rest again.

    Outputs, gradients, running statistics and random draws are those of a plain call, bit for bit.
    arguments: tensors, and mappings, sequences and dataclasses that hold some; gradients flow into all of them.
    The result cannot be differentiated twice.
    """
    if not torch.is_grad_enabled():
        return cell(*arguments)
    tensors: list[Tensor] = []

    def take(tensor: Tensor) -> _Place:
        tensors.append(tensor)
        return _Place(len(tensors) - 1)

    return _Recomputed.apply(cell, _map(take, Tensor, arguments), len(tensors), *tensors, *cell.parameters())


class _Place(int):
    """Where a tensor stands among those that were taken out of the arguments."""


class _Recomputed(Function):
    @staticmethod
    def forward(ctx: Any, cell: nn.Module, arguments: Any, count: int, *tensors: Tensor) -> Tensor:
        ctx.cell, ctx.arguments, ctx.count = cell, arguments, count
        ctx.generators = [(generator, generator.get_state()) for generator in _generators(cell, tensors[0].device)]
        kind = ctx.kind = tensors[0].device.type
        ctx.autocast = (torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind), False)
        ctx.save_for_backward(*tensors)
        return cell(*_map(tensors.__getitem__, _Place, arguments))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tensors, needed = ctx.saved_tensors, ctx.needs_input_grad[3:]
        own = [x.detach().requires_grad_(needs) for x, needs in zip(tensors[: ctx.count], needed, strict=False)]
        leaves = [*own, *tensors[ctx.count :]]
        with ExitStack() as stack:
            stack.enter_context(resting(leaf for leaf, needs in zip(leaves, needed, strict=True) if not needs))
            stack.enter_context(_unchanged_statistics(ctx.cell))
            stack.enter_context(_random_numbers(ctx.generators))
            stack.enter_context(torch.autocast(ctx.kind, *ctx.autocast))
            stack.enter_context(torch.enable_grad())
            output = ctx.cell(*_map(own.__getitem__, _Place, ctx.arguments))
        wanted = [leaf for leaf, needs in zip(leaves, needed, strict=True) if needs]
        gradients = iter(torch.autograd.grad(output, wanted, gradient, allow_unused=True))
        return None, None, None, *(next(gradients) if needs else None for needs in needed)


def _map(function: Callable[[Any], Any], kind: type[Any], value: Any) -> Any:
    """`value` with `function` of every `kind` in it, in mappings, sequences and dataclasses too; itself where it holds none."""
    if isinstance(value, kind):
        return function(value)
    parts: Collection[Any]
    build: Callable[[list[Any]], Any]
    if isinstance(value, Mapping):
        parts, build = value.values(), lambda new: dict(zip(value, new, strict=True))
    elif isinstance(value, list | tuple):
        parts, build = value, type(value)
    elif is_dataclass(value) and not isinstance(value, type):
        parts, build = vars(value).values(), lambda new: replace(value, **dict(zip(vars(value), new, strict=True)))
    else:
        return value
    mapped = [_map(function, kind, part) for part in parts]
    return value if all(map(is_, mapped, parts)) else build(mapped)


@contextmanager
def _unchanged_statistics(cell: nn.Module) -> Iterator[None]:
    """The first computation has updated the running statistics, or was told not to."""
    norms = [module for module in cell.modules() if isinstance(module, nn.BatchNorm2d) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def _generators(cell: nn.Module, device: torch.device) -> list[torch.Generator]:
    """All that a cell may draw from: torch's global ones, and its modules' own under the name `generator`."""
    found = [getattr(module, "generator", None) for module in cell.modules()]
    every = [torch.default_generator, *{generator for generator in found if generator is not None}]
    return every if device.type == "cpu" else [*every, torch.cuda.default_generators[device.index]]


@contextmanager
def _random_numbers(states: Sequence[tuple[torch.Generator, Tensor]]) -> Iterator[None]:
    """Draws inside begin at `states`; afterwards the generators go on from where they were."""
    before = [(generator, generator.get_state()) for generator, _ in states]
    for generator, state in states:
        generator.set_state(state)
    try:
        yield
    finally:
        for generator, state in before:
            generator.set_state(state)
