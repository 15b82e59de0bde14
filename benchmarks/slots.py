"""What several slots on one device gain, and what a killed worker and memory that runs out cost them.

python benchmarks/slots.py [--quick] [--slots 4] [--device 0] [--output FILE]
The same study, searches and trainings on digits, with one slot and with several, then with several of which a worker is killed, and
with several of which a search runs out of memory: an allocation of a petabyte fails in its second epoch, until the batch is halved.
On the GPU of that index, or on the CPU where there is none. Prints wall-clock time, start of the workers included, and the device
time of all attempts together. Memory: on the CPU the peak of each worker's resident set, on a GPU what the device held at most more
than before, as looked at twice a second, divided by the slots.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from printing import header, machine, row, yes_or_no

import moonas
from moonas.outer.loop import Loop
from moonas.store.states import AttemptState
from moonas.worker import local
from moonas.worker.devices import visible_gpus

FAULTY = "tests.faults.faulty_process"
PETABYTE: dict[str, Any] = {"kind": "out of memory", "fits": 0, "epoch": 1, "times": 1}


def study(quick: bool, workers: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "slots",
        "data": {"name": "digits", "images": 600} if quick else "digits",
        "space": {"name": "darts-cnn", "nodes": 2},
        "search": {"channels": 4, "cells": 3},
        "final": {"channels": 8, "cells": 3},
        "objectives": ["accuracy", "params"],
        "methods": [{"name": "darts", "epochs": 3 if quick else 10}],
        "budgets": {"params": ["50%"]},
        "replicates": 4 if quick else 8,
        "protocol": {"name": "short", "epochs": 4 if quick else 10},
        "workers": workers,
    }


class Witness:
    """A watcher that follows the memory of workers, and kills one where it is asked to, once all slots are at work."""

    def __init__(self, device: str, kills: bool) -> None:
        self.device, self.kills = device, kills
        self.peaks: dict[str, float] = {}  # MiB, by worker
        self.before = self._used()
        self.most = 0.0

    def tick(self, loop: Loop) -> None:
        """Look at everything that runs."""
        for running in loop.slots.running.values():
            self.peaks[running.worker] = max(self.peaks.get(running.worker, 0.0), peak_rss(running.worker))
        self.most = max(self.most, self._used() - self.before)
        reporting = [running.worker for running in loop.slots.running.values() if running.task.progress]
        if self.kills and len(reporting) == len(loop.pool.devices):
            self.kills = False
            os.kill(int(reporting[0].rpartition("/")[2]), signal.SIGKILL)

    def note(self, text: str) -> None:
        """Nothing to tell."""

    def per_slot(self, slots: int) -> float:
        """MiB."""
        return self.most / slots if self.device != "cpu" else max(self.peaks.values())

    def _used(self) -> float:
        if self.device == "cpu":
            return 0.0
        free, total = torch.cuda.mem_get_info(int(self.device))
        return (total - free) / 2**20


def peak_rss(worker: str) -> float:
    """MiB; 0 of a process that has just ended."""
    try:
        status = Path(f"/proc/{worker.rpartition('/')[2]}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def measure(quick: bool, device: str, slots: int, kills: bool, faults: list[dict[str, Any]]) -> tuple[dict[str, Any], Any]:
    """One run of the study; what it took, and its front."""
    workers = {"devices": "cpu" if device == "cpu" else [int(device)], "tasks_per_device": slots}
    witness = Witness(device, kills)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FAULTS"], os.environ["FAULT_FOLDER"] = json.dumps(faults), folder
        local.WORKER = FAULTY if faults else "moonas.worker.process"
        began = time.perf_counter()
        found = moonas.run(study(quick, workers), f"sqlite:///{folder}/study.db", watcher=witness)
        seconds = time.perf_counter() - began
        attempts = found.store.attempts(found.record.id)
        lost = [attempt for attempt in attempts if attempt.state is AttemptState.FAIL]
        assert len(lost) == kills + len(faults), lost
        took = {
            "seconds": seconds,
            "device": sum(a.seconds for a in attempts),
            "memory": witness.per_slot(slots),
            "lost": len(lost),
        }
        halved = len(found.halved())
        front = [member.to_json() for member in found.front()]
    return {**took, "halved": halved}, front


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller study")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--device", type=int, default=0, help="index of the GPU")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    device = str(chosen.device) if visible_gpus() and torch.cuda.is_available() else "cpu"
    name = "the CPU" if device == "cpu" else torch.cuda.get_device_name(chosen.device)
    many = chosen.slots
    runs = {
        "1 slot": (1, False, []),
        f"{many} slots": (many, False, []),
        f"{many} slots, a worker killed": (many, True, []),
        f"{many} slots, memory runs out once": (many, False, [PETABYTE]),
    }
    lines = [
        f"{machine()}, on {name}",
        "",
        *header("run", "wall s", "of 1 slot", "device s", "MiB per slot", "attempts lost", "halved", "front of 1 slot"),
    ]
    print("\n".join(lines), flush=True)
    first: tuple[dict[str, Any], Any] | None = None
    for label, (slots, kills, faults) in runs.items():
        took, front = measure(chosen.quick, device, slots, kills, faults)
        first = first or (took, front)
        share = took["seconds"] / first[0]["seconds"]
        cells = label, f"{took['seconds']:.1f}", f"{share:.2f}", f"{took['device']:.1f}", f"{took['memory']:.0f}"
        lines.append(row(*cells, took["lost"], took["halved"], yes_or_no(front == first[1])))
        print(lines[-1], flush=True)
    if chosen.output:
        chosen.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
