"""Whether others use a GPU, by NVML, the library of nvidia-smi; loaded only where a study asks (`only_idle`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from moonas.errors import UsageError

SMALL_SHARE = 0.05  # of a GPU's memory that drivers and displays hold on an idle one


class Gpus:
    """The GPUs of this machine as NVML sees them. Raises UsageError where NVML cannot be used."""

    def __init__(self) -> None:
        try:
            import pynvml
        except ImportError as error:
            raise UsageError('workers.only_idle asks NVML which GPUs are in use: pip install "moonas[gpu]"') from error
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise UsageError(f"workers.only_idle: NVML cannot tell which GPUs are in use: {error}") from error

    def used_by_others(self, gpu: str, mine: Collection[int]) -> str:
        """Why a GPU counts as used: processes that are not `mine`, or memory that nobody of mine holds; empty where it is idle.

        gpu: its number, UUID or MIG id. mine: ids of the processes of this study that have used it.
        Raises UsageError for a GPU that NVML does not know.
        In a container NVML gives processes the numbers of the host: as many strangers as there are processes of mine that it does
        not list are taken for these, and whoever has memory there besides cannot be told.
        """
        device = self._device(gpu)
        try:
            listed = {process.pid for query in self._queries for process in query(device)}
            memory = self._nvml.nvmlDeviceGetMemoryInfo(device)
        except self._nvml.NVMLError as error:
            return f"NVML: {error}"
        strangers = sorted(listed - set(mine))
        if len(strangers) > len(set(mine) - listed):
            return f"process {', '.join(map(str, strangers))}"
        if not mine and memory.used > SMALL_SHARE * memory.total:
            return f"{memory.used / 2**30:.1f} of {memory.total / 2**30:.1f} GiB of its memory in use"
        return ""

    @property
    def _queries(self) -> tuple[Any, ...]:
        return self._nvml.nvmlDeviceGetComputeRunningProcesses, self._nvml.nvmlDeviceGetGraphicsRunningProcesses

    def _device(self, gpu: str) -> Any:
        """Raises UsageError for one that NVML does not know."""
        try:
            by_number = gpu.isdecimal()
            return self._nvml.nvmlDeviceGetHandleByIndex(int(gpu)) if by_number else self._nvml.nvmlDeviceGetHandleByUUID(gpu)
        except self._nvml.NVMLError as error:
            raise UsageError(f"workers.only_idle: NVML does not know the GPU {gpu!r}, a number or a whole UUID: {error}") from error
