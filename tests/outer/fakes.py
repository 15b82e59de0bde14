"""A pool that runs no torch: searches and evaluations whose results follow from their specs alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from moonas.architecture import Architecture
from moonas.outer.loop import Loop
from moonas.outer.plan import Plan
from moonas.seeds import stream
from moonas.skeleton import Skeleton
from moonas.spaces.costs import cost_table
from moonas.spaces.sampling import FeasibleSet
from moonas.spaces.space import make_space
from moonas.specs import SearchSpec
from moonas.store.states import StudyState
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.study.schema import SCHEMA
from moonas.worker.local import Event

EPOCHS = 3


def small_study(**changes: Any) -> dict[str, Any]:
    """A study file small enough to count by hand, as a mapping."""
    return {
        "name": "small",
        "seed": 3,
        "data": "digits",
        "space": {"name": "darts-cnn", "nodes": 2},
        "search": {"channels": 4, "cells": 3},
        "final": {"channels": 4, "cells": 5},
        "objectives": ["accuracy", "params"],
        "methods": ["random", {"name": "darts", "epochs": EPOCHS}],
        "budgets": {"params": ["10%", "40%", "none"]},
        "replicates": 2,
        **changes,
    }


class Crash(Exception):
    """The loop dies here, as after `kill -9`: nothing after this point runs."""


class FakePool:
    """Results come one event at a time; `crash_after` events the loop dies, and `spoil` may change or withhold a result."""

    def __init__(
        self, slots: int = 2, crash_after: int | None = None, spoil: Callable[[Mapping[str, Any]], Event | None] | None = None
    ) -> None:
        self.devices = ["cpu"] * slots
        self.crash_after, self.spoil = crash_after, spoil
        self.queue: deque[Event] = deque()
        self.started: list[dict[str, Any]] = []
        self.commands: list[tuple[int, str]] = []
        self.killed: list[tuple[int, str]] = []

    def start(self, slot: int, task: Mapping[str, Any]) -> None:
        self.started.append(dict(task))
        spoiled = self.spoil(task["spec"]) if self.spoil else None
        if spoiled is not None:
            self._tell(slot, spoiled.kind, spoiled.message)
            return
        for step in range(1, EPOCHS + 1):
            metrics = {"train_loss": 1 / step, "valid_accuracy": 0.5}
            told = {"step": step, "of": EPOCHS, "metrics": metrics, "checkpoint": None}
            learns = task["spec"]["kind"] == "search" and task["spec"]["method"]["name"] != "random"
            self._tell(slot, "progress", told | ({"mixture": mixture_of(task["spec"], step)} if learns else {}))
        self._tell(slot, "result", {"result": result_of(task["spec"])})

    def command(self, slot: int, command: str) -> None:
        """Pausing drops what the slot would still have reported."""
        self.commands.append((slot, command))
        self.queue = deque(event for event in self.queue if event.slot != slot)
        self._tell(slot, "interrupted", {"action": command})

    def next_event(self, timeout: float) -> Event | None:
        if self.crash_after is not None:
            if self.crash_after == 0:
                raise Crash
            self.crash_after -= 1
        return self.queue.popleft() if self.queue else None

    def busy(self, slot: int) -> str:
        return ""

    def kill(self, slot: int, reason: str = "") -> None:
        """What the slot would still have reported is lost."""
        self.killed.append((slot, reason))
        self.queue = deque(event for event in self.queue if event.slot != slot)
        self._tell(slot, "died", {"reason": reason or "killed by SIGKILL", "log": ""})

    def ready(self, slot: int) -> str:
        return f"fake/{slot}"

    def _tell(self, slot: int, kind: str, message: Mapping[str, Any]) -> None:
        self.queue.append(Event(slot, kind, message, self.ready(slot)))

    def close(self) -> None:
        """Nothing to end."""


def result_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What the task of `spec` finds, a function of the spec alone."""
    about = {"versions": {"moonas": "test"}, "device": {"name": "fake"}, "data_checksum": "0" * 64}
    if spec["kind"] == "measure":
        architecture = Architecture.from_json(spec["architecture"])
        draw = np.random.default_rng(stream(architecture.key, spec["skeleton"], spec["device"]["name"]))
        metrics = {name: round(draw.uniform(1, 9), 3) for name in spec["metrics"]}
        return {"kind": "measure", "versions": {}, "device": spec["device"], "metrics": metrics | {"latency_ms_iqr": 0.5}}
    if spec["kind"] == "evaluate":
        architecture = Architecture.from_json(spec["architecture"])
        draw = np.random.default_rng(stream(architecture.key, spec["skeleton"], spec["replicate"]))
        accuracy, test_accuracy = np.round(draw.uniform(0.8, 1.0, 2), 4).tolist()
        return {**about, "kind": "evaluate", "metrics": {"accuracy": accuracy, "test_accuracy": test_accuracy, "loss": 0.1}}
    if spec["kind"] == "rerank":
        accuracies = [stream(genotype, spec["search"]["seed"]) % 1000 / 1000 for genotype in spec["architectures"]]
        return {**about, "kind": "rerank", "accuracies": accuracies, "best": accuracies.index(max(accuracies))}
    space = make_space(spec["space"])
    draw = np.random.default_rng(stream(spec["seed"], spec["replicate"], "fake search"))
    search = {**about, "kind": "search", "architecture": None, "scores": None, "weights": None}
    if spec["method"]["name"] == "random":
        table = cost_table(space, Skeleton.from_json(spec["final"]), spec["predicted"])
        return {**search, "architecture": FeasibleSet(space, table, spec["budget"]).sample(draw).to_json()}
    return {
        **search,
        "scores": {name: draw.normal(size=group.shape).tolist() for name, group in space.groups.items()},
        "logits": {"of": SearchSpec.from_json(spec).key},
    }


def mixture_of(spec: Mapping[str, Any], step: int) -> dict[str, Any]:
    """What a search says of its edges: all alike at first, then ever more for the first operation."""
    found = {}
    for name, group in make_space(spec["space"]).groups.items():
        even = (1 - step / EPOCHS) / len(group.operations)
        row = [round(even + step / EPOCHS, 3), *[round(even, 3)] * (len(group.operations) - 1)]
        found[name] = {"operations": [row] * len(group.edges)}
    return found


class Notes:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def tick(self, loop: Loop) -> None:
        """Nothing to show."""

    def note(self, text: str) -> None:
        self.lines.append(text)


DEVICE = {"type": "cpu", "name": "fake", "threads": 1, "torch": "0"}


def drive(
    store: Store, raw: Mapping[str, Any], pool: FakePool, notes: Notes | None = None, device: Mapping[str, Any] = DEVICE
) -> StudyState:
    """Create or take up the study `raw` describes and run its loop on `pool`, whose first device has the fingerprint `device`."""
    plan = Plan(study_from(raw))
    names = [summary.name for summary in store.studies()]
    if plan.config.name not in names:
        store.create_study(
            plan.config.name, plan.config.to_json(), schema=SCHEMA, config_hash="0", seed=plan.config.seed, version="test"
        )
    record = store.study(plan.config.name)
    with store.ledger(record.id) as ledger:
        known = device if plan.measured else None
        return Loop(store, ledger, record, plan, pool, "file:///nowhere", notes or Notes(), known).run()
