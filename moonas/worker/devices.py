"""The devices of a machine: which there are, which slot has which, and how a process is pinned to one. Free of torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from moonas.errors import UsageError
from moonas.storage import without_storage
from moonas.study.sections import Workers

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def visible_gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, by the names CUDA has for them, found without loading torch.

    Where CUDA_VISIBLE_DEVICES is set, what stands there: numbers, UUIDs or MIG ids, up to the first that hides the rest.
    """
    allowed = os.environ.get(VISIBLE)
    if allowed is None:
        driver = Path("/proc/driver/nvidia/gpus")
        return [str(number) for number in range(len(list(driver.iterdir())))] if driver.is_dir() else []
    found = []
    for name in map(str.strip, allowed.split(",")):
        if name in ("", "-1"):
            break
        found.append(name)
    return found


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slot_devices(workers: Workers) -> list[str]:
    """The device of every slot: `cuda:0` and so on, or `cpu`. Raises UsageError for a GPU that is not there."""
    gpus = len(visible_gpus())
    if isinstance(workers.devices, tuple):
        if missing := [index for index in workers.devices if index >= gpus]:
            raise UsageError(f"workers.devices: there is no GPU {missing[0]} here; {gpus} found. Use `devices: auto` or `cpu`")
        indices: Sequence[int] = workers.devices
    else:
        indices = range(gpus) if workers.devices == "auto" else ()
    if indices:
        return [f"cuda:{index}" for index in indices for _ in range(workers.tasks_per_device or 1)]
    return ["cpu"] * (workers.tasks_per_device or max(1, cpu_count() // workers.threads_per_task))


def gpu_of(device: str) -> str | None:
    """What CUDA calls the GPU of a slot; None for the CPU. `cuda:1` is the second of `visible_gpus`."""
    kind, _, index = device.partition(":")
    return visible_gpus()[int(index)] if kind == "cuda" else None


def environment(device: str, threads: int, processes: int) -> dict[str, str]:
    """The environment of a process that sees one device alone, with `threads` CPU threads, one of so many `processes`."""
    numbers = dict.fromkeys(THREAD_VARIABLES, str(threads))
    found = {**without_storage(os.environ), **numbers, "PYTHONUNBUFFERED": "1", VISIBLE: gpu_of(device) or ""}
    found.setdefault("MOONAS_LOADERS", str(max(1, cpu_count() // processes)))
    found.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # GPU 1 is that of nvidia-smi, also where they differ in speed
    if found[VISIBLE]:
        found["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # deterministic matrix products
    return found
