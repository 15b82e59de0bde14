"""What a result was computed on."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch


def device_of(device: str | torch.device, threads: int) -> dict[str, Any]:
    """Type, model name and CPU threads: the last digits of results depend on them."""
    kind = torch.device(device).type
    name = torch.cuda.get_device_name(device) if kind == "cuda" else _cpu_name()
    return {"type": kind, "name": name, "threads": threads}


def fingerprint(device: str | torch.device, threads: int) -> dict[str, Any]:
    """What a measured value depends on beside its network; values of two fingerprints are never compared."""
    return {**device_of(device, threads), "torch": torch.__version__}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
