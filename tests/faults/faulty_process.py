"""A worker that goes wrong as the variable FAULTS says: a list, each with the folder of FAULT_FOLDER to remember that it happened.

`{"kind": ..., "task": "search", "epoch": 1, "times": 1}`: at the beginning of an epoch, counted from 0, of that kind of task.
"""

import ctypes
import faulthandler
import json
import os
import subprocess
from pathlib import Path
from typing import Any

FAULTS: list[dict[str, Any]] = json.loads(os.environ["FAULTS"])
FOLDER = Path(os.environ["FAULT_FOLDER"])

if any(fault["kind"] == "broken installation" for fault in FAULTS):
    raise ImportError("libcudart.so.13: cannot open shared object file: No such file or directory")

import torch  # noqa: E402

from moonas.inner.search import Search  # noqa: E402
from moonas.networks.training import Training  # noqa: E402
from moonas.worker import process  # noqa: E402


def happens(number: int, fault: dict[str, Any]) -> bool:
    """Whether a fault is still to happen; remembered beyond the life of this process."""
    count = len(list(FOLDER.glob(f"{number}-*")))
    if count >= fault.get("times", 1):
        return False
    (FOLDER / f"{number}-{count}").touch()
    return True


def go_wrong(fault: dict[str, Any], batch: int) -> None:
    if fault["kind"] == "segmentation fault":
        faulthandler._sigsegv()  # type: ignore[attr-defined]
    elif fault["kind"] == "out of memory" and batch > fault["fits"]:
        torch.empty(
            10**15, dtype=torch.uint8, device="cuda" if os.environ["CUDA_VISIBLE_DEVICES"] else "cpu"
        )  # no machine has that
    elif fault["kind"] == "holds the interpreter":
        child = subprocess.Popen(["sleep", "600"])
        (FOLDER / "child").write_text(str(child.pid))
        ctypes.PyDLL(None).sleep(600)  # unlike CDLL, it lets no other thread of Python run meanwhile


def faulty(task: str, whole: Any, batch_of: Any) -> Any:
    def run_epoch(self: Any, epoch: int) -> Any:
        for number, fault in enumerate(FAULTS):
            if fault.get("task", "search") == task and fault.get("epoch", 1) == epoch and happens(number, fault):
                go_wrong(fault, batch_of(self))
        return whole(self, epoch)

    return run_epoch


Search.run_epoch = faulty("search", Search.run_epoch, lambda search: search.method.batch)  # type: ignore[method-assign]
Training.run_epoch = faulty("evaluate", Training.run_epoch, lambda training: training.config.batch)  # type: ignore[method-assign]
process.main()
