"""Candidate operations by name: where each one's exact cost and its module come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from moonas.registry import Registry


@dataclass(frozen=True, kw_only=True)
class OperationEntry:
    """One candidate operation.

    cost: "module:function", called as `function(channels, stride, size, **settings) -> OperationCost`; needs no torch.
    load: "module:function", called as `function(channels, stride, affine, **settings) -> nn.Module`.
    settings: keyword arguments of both.
    weightless: has no convolution at stride 1, so that it needs no training (pools and skips).
    """

    cost: str
    load: str
    settings: dict[str, Any] = field(default_factory=dict)
    weightless: bool = False


_COST = "moonas.spaces.operations:"
_MODULE = "moonas.networks.operations:"


def _separable(kernel: int) -> OperationEntry:
    return OperationEntry(cost=_COST + "separable", load=_MODULE + "separable", settings={"kernel": kernel})


def _dilated(kernel: int) -> OperationEntry:
    return OperationEntry(cost=_COST + "dilated", load=_MODULE + "dilated", settings={"kernel": kernel})


def _full(kernel: int) -> OperationEntry:
    return OperationEntry(cost=_COST + "full", load=_MODULE + "full", settings={"kernel": kernel})


def _full_or_biased(kernel: int) -> OperationEntry:
    return OperationEntry(cost=_COST + "full", load=_MODULE + "full_or_biased", settings={"kernel": kernel})


def _max_pool(kernel: int) -> OperationEntry:
    return OperationEntry(cost=_COST + "free", load=_MODULE + "max_pool", settings={"kernel": kernel}, weightless=True)


OPERATIONS: Registry[OperationEntry] = Registry(
    "operation",
    "operation",
    {
        "none": OperationEntry(cost=_COST + "free", load=_MODULE + "none", weightless=True),
        "max_pool_3x3": _max_pool(3),
        "max_pool_5x5": _max_pool(5),
        "max_pool_7x7": _max_pool(7),
        "avg_pool_3x3": OperationEntry(cost=_COST + "free", load=_MODULE + "avg_pool", weightless=True),
        "skip_connect": OperationEntry(cost=_COST + "skip", load=_MODULE + "skip", weightless=True),
        "sep_conv_3x3": _separable(3),
        "sep_conv_5x5": _separable(5),
        "sep_conv_7x7": _separable(7),
        "dil_conv_3x3": _dilated(3),
        "dil_conv_5x5": _dilated(5),
        "conv_1x1": _full(1),
        "conv_3x3": _full(3),
        "conv_3x1_1x3": OperationEntry(cost=_COST + "factored", load=_MODULE + "factored"),
        "nor_conv_1x1": _full_or_biased(1),
        "nor_conv_3x3": _full_or_biased(3),
        "bare_avg_pool_3x3": OperationEntry(cost=_COST + "free", load=_MODULE + "bare_avg_pool", weightless=True),
    },
)
