"""How much autograd holds for its backward passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from weakref import finalize

import torch
from torch import Tensor


class _Held:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()  # an output of the step must not hold its own history


def peak_held(step: Callable[[], object], apart_from: Iterable[Tensor] = ()) -> int:
    """The most bytes held at any time of `step`, forward and backward; each storage once, those of `apart_from` not at all."""
    own = {tensor.untyped_storage().data_ptr() for tensor in apart_from}
    holders: Counter[int] = Counter()
    now = peak = 0

    def keep(tensor: Tensor) -> _Held:
        nonlocal now, peak
        held, storage = _Held(tensor), tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place not in own:
            if not holders[place]:
                now += size
                peak = max(peak, now)
            holders[place] += 1
            finalize(held, release, place, size)
        return held

    def release(place: int, size: int) -> None:
        nonlocal now
        holders[place] -= 1
        if not holders[place]:
            now -= size

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda held: held.tensor):
        step()
    assert now == 0
    return peak
