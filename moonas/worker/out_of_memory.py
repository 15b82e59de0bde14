"""Running out of memory: how it is recognised, and the half of a batch that is tried next. Free of torch."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from typing import Any

OUT_OF_MEMORY = "out of memory"  # the event of a task, and that of a study
HALVED = "halved_batch"  # in the device of a result: the images of a batch, where these were half of what the spec says
SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "ALLOC_FAILED")  # of CUDA, torch's CPU allocator, cuBLAS
BATCH_OF = {"search": "method", "evaluate": "protocol"}  # kind of task: where its spec has the batch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, of the GPU or of the process."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS))


def half_batch(spec: Mapping[str, Any]) -> int | None:
    """Half of the batch that the task of a spec takes; None where it takes none, or one image already."""
    batch = spec[BATCH_OF[spec["kind"]]].get("batch") if spec["kind"] in BATCH_OF else None
    return batch // 2 if batch and batch > 1 else None


def free_memory() -> None:
    """Give back what a task that ran out of memory has left in this process."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
