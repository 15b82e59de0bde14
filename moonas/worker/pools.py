"""Which pool a study's tasks run in."""

from __future__ import annotations

from collections.abc import Callable

from moonas.study.sections import Workers
from moonas.worker import local
from moonas.worker.devices import slot_devices
from moonas.worker.ray import RayPool


def make_pool(workers: Workers, note: Callable[[str], None]) -> local.LocalPool | RayPool:
    """The workers that a study file asks for. note: takes a line worth reading.

    Raises UsageError for a GPU that is not there, ClusterError for a cluster that cannot be used.
    """
    if workers.backend == "ray":
        return RayPool(workers, note)
    return local.LocalPool(slot_devices(workers), workers.threads_per_task, workers.only_idle)
