"""The arithmetic of forward passes: as weights are stored, or bfloat16 where that is enough.

In bf16, convolutions and matrix products multiply and maps are kept in bfloat16; weights, statistics of batch norm, the classifier
and the loss stay as they are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import Any

import torch
from torch import Tensor

_full: ContextVar[bool] = ContextVar("full precision", default=False)


def arithmetic(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Inside the block torch computes with `precision`, "fp32" or "bf16"."""
    if precision == "fp32" or _full.get():
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)  # no weight is used twice in a pass


@contextmanager
def full_precision() -> Iterator[None]:
    """Inside the block every network computes in the precision of its weights, whatever its settings."""
    token = _full.set(True)
    try:
        yield
    finally:
        _full.reset(token)


def explicit(forward: Callable[..., Any]) -> Callable[..., Any]:
    """For a `Function.forward` that chooses the types of its arithmetic itself: torch leaves them alone inside."""

    @wraps(forward)
    def run(ctx: Any, *arguments: Any) -> Any:
        kind = next(part.device.type for part in arguments if isinstance(part, Tensor))
        if not torch.is_autocast_enabled(kind):
            return forward(ctx, *arguments)
        with torch.autocast(kind, enabled=False):
            return forward(ctx, *arguments)

    return run


def wide(kind: torch.dtype) -> torch.dtype:
    """The type of sums over maps of `kind`: never below float32."""
    return torch.promote_types(kind, torch.float32)


def can_compute(precision: str, device: torch.device) -> bool:
    """Whether the device has arithmetic of its own for `precision`."""
    return precision == "fp32" or device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
