"""Energy of a forward pass, where the machine has a meter that can be read: RAPL for the CPU, NVML for an NVIDIA GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from moonas.errors import DeviceError
from moonas.metrics.subject import Reading, Subject, median

POWERCAP = Path("/sys/class/powercap")
BLOCKS, BLOCK_SECONDS = 5, 0.3  # meters tick every 1 to 100 ms; our own choice


class Meter(Protocol):
    """A counter of energy that only grows."""

    def millijoules(self) -> float: ...


def energy_mj(subject: Subject) -> Reading:
    """Millijoules of one forward pass of the whole batch: the median of 5 stretches of at least 0.3 s and `repeats` passes.

    All that the CPU's packages, or the GPU, draw meanwhile counts, idle power too. Raises DeviceError where there is no meter.
    """
    meter: Meter = Nvml(subject.device) if subject.device.type == "cuda" else Rapl()
    for _ in range(subject.warmups):
        subject.forward()
    return median(np.array([spent(subject.forward, meter, subject.repeats, BLOCK_SECONDS) for _ in range(BLOCKS)]))


def spent(
    call: Callable[[], None], meter: Meter, least: int, seconds: float, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Millijoules of one call, over at least so many calls and seconds."""
    began, before, calls = clock(), meter.millijoules(), 0
    while calls < least or clock() - began < seconds:
        call()
        calls += 1
    return (meter.millijoules() - before) / calls


class Rapl:
    """The energy counters of all CPU packages, as Linux shows them; they begin anew at their largest value."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        zones = sorted(powercap.glob("*-rapl:*/name"))  # others lie within a package, or around it
        self.counters = [zone.with_name("energy_uj") for zone in zones if zone.read_text().startswith("package")]
        if not self.counters:
            raise DeviceError(f"energy_mj is not available on this machine: there is no RAPL counter below {powercap}")
        try:
            self.sizes = [int(path.with_name("max_energy_range_uj").read_text()) for path in self.counters]
            self.last = self._read()
        except OSError as error:
            raise DeviceError(
                f"energy_mj is not available on this machine: {error.filename} cannot be read ({error.strerror}); "
                f"root may allow it with: chmod a+r {error.filename}"
            ) from error
        self.total = 0.0

    def millijoules(self) -> float:
        """Since this object was made; to be asked more often than the counters begin anew, which takes minutes."""
        now = self._read()
        self.total += sum((new - old) % size for new, old, size in zip(now, self.last, self.sizes, strict=True)) / 1000
        self.last = now
        return self.total

    def _read(self) -> list[int]:
        return [int(path.read_text()) for path in self.counters]


class Nvml:
    """The energy counter of one GPU, by NVIDIA's management library."""

    def __init__(self, device: torch.device) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise DeviceError(
                "energy_mj is not available on this machine: reading a GPU's energy needs pynvml; pip install nvidia-ml-py"
            ) from error
        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
            self.millijoules()
        except pynvml.NVMLError as error:
            raise DeviceError(f"energy_mj is not available on this machine: the GPU has no energy counter ({error})") from error

    def millijoules(self) -> float:
        """Since the driver was loaded."""
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle))
