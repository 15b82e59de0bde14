"""How it is recognised that memory ran out, by the words of those who say so."""

from typing import Any

import pytest
import torch

from moonas.errors import NonFiniteLossError
from moonas.worker.out_of_memory import half_batch, is_out_of_memory


def a_petabyte() -> None:
    torch.empty(10**15, dtype=torch.uint8)


def python_runs_out() -> None:
    bytearray(2**62)


@pytest.mark.parametrize("attempt", [a_petabyte, python_runs_out])
def test_what_really_ran_out_of_memory_is_recognised(attempt: Any) -> None:
    with pytest.raises((RuntimeError, MemoryError)) as raised:
        attempt()
    assert is_out_of_memory(raised.value)


@pytest.mark.parametrize(
    ("error", "recognised"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.1 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate"),
            True,
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied (32x8 and 16x10)"), False),
        (NonFiniteLossError("train_loss became NaN or infinite in epoch 1"), False),
        (ValueError("out of memory"), False),
    ],
    ids=lambda value: str(value)[:40],
)
def test_errors_are_told_apart(error: Exception, recognised: bool) -> None:
    assert is_out_of_memory(error) is recognised


@pytest.mark.parametrize(
    ("spec", "half"),
    [
        ({"kind": "search", "method": {"name": "darts", "batch": 64}}, 32),
        ({"kind": "search", "method": {"name": "darts", "batch": 5}}, 2),
        ({"kind": "search", "method": {"name": "darts", "batch": 1}}, None),
        ({"kind": "search", "method": {"name": "random"}}, None),
        ({"kind": "evaluate", "protocol": {"name": "short", "batch": 96}}, 48),
        ({"kind": "measure", "settings": {"batch": 64}}, None),
    ],
    ids=str,
)
def test_half_of_a_batch_is_at_least_one_image(spec: dict[str, Any], half: int | None) -> None:
    assert half_batch(spec) == half
