"""What a result was computed on."""

from __future__ import annotations

from typing import Any

import torch

from moonas.machine import cpu_name


def device_of(device: str | torch.device, threads: int) -> dict[str, Any]:
    """Type, model name and CPU threads: the last digits of results depend on them."""
    kind = torch.device(device).type
    name = torch.cuda.get_device_name(device) if kind == "cuda" else cpu_name()
    return {"type": kind, "name": name, "threads": threads}


def fingerprint(device: str | torch.device, threads: int) -> dict[str, Any]:
    """What a measured value depends on beside its network; values of two fingerprints are never compared."""
    return {**device_of(device, threads), "torch": torch.__version__}
