"""Peak memory of inference: weights, images and whatever lives at once during a forward pass."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from moonas.metrics.subject import Subject

MIB = 2**20


def memory_mib(subject: Subject) -> float:
    """Largest number of bytes that live at once in one forward pass, in MiB: weights and buffers, the batch, and outputs.

    On a GPU what torch's allocator hands out at most, which includes the scratch memory of kernels. On the CPU the bytes of all
    tensors that operations return and that are still referred to, each storage once: a count, the same on every run, without what
    a kernel needs within itself.
    """
    held = [*subject.network.parameters(), *subject.network.buffers(), subject.images]
    own = sum(size for _, size in _storages(held).values())
    if subject.device.type != "cuda":
        with LiveBytes(held) as live:
            subject.forward()
        return (own + live.peak) / MIB
    subject.forward()  # libraries set themselves up
    torch.cuda.reset_peak_memory_stats(subject.device)
    before = torch.cuda.memory_allocated(subject.device)
    subject.forward()
    return (own + torch.cuda.max_memory_allocated(subject.device) - before) / MIB


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of what operations return while it lives; peak: the most there were at once.

    held: tensors that do not count, nor do views of them.
    """

    def __init__(self, held: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = self.live = 0
        self._seen = set(_storages(held))

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        for address, (storage, size) in _storages(leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)).items():
            if address not in self._seen:
                self._seen.add(address)
                self.live += size
                weakref.finalize(storage, self._release, address, size)
        self.peak = max(self.peak, self.live)
        return found

    def _release(self, address: int, size: int) -> None:
        self._seen.discard(address)
        self.live -= size


def _storages(tensors: Iterable[Tensor]) -> dict[int, tuple[torch.UntypedStorage, int]]:
    """{address of its C++ object: (storage, bytes)} of the storages behind tensors, each once."""
    found = {}
    for tensor in tensors:
        storage = tensor.untyped_storage()
        found[storage._cdata] = (storage, storage.nbytes())
    return found
