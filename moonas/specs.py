"""Specs: all that a task depends on, as plain JSON data.

A search and an evaluation are pure functions of their spec. A spec's `key` is the hash of everything that changes the result, so
that equal work is recognised and done once. Bounds travel as `{"params": {"upper": 30000}}`, either end optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moonas.architecture import Architecture
from moonas.seeds import digest
from moonas.skeleton import Skeleton

Settings = Mapping[str, Any]
Predicted = Mapping[str, Mapping[str, Any]]  # {metric: {"fixed": int, "edges": {group: (edges, operations)}}}, whole numbers
Device = Mapping[str, Any]  # fingerprint: what a measured value depends on beside its network
Bounds = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True)
class SearchSpec:
    """One inner differentiable search.

    seed: the study's seed. replicate: 0, 1, 2 ...; equal replicates use equal random streams across methods and budgets.
    data, space, method, handler: `{"name": ..., **settings}`, fully resolved: no ranges, no defaults left out.
    skeleton: the search skeleton. final, budget: set only where the method or its handler uses them, and with them
    predicted: costs at the final skeleton that device tables add to the exact ones.
    start: `{"search": key, "parameters": what that search left}`, whose architecture parameters this one starts from; what was left
    follows from the key, so that the key alone is part of the identity.
    performance: `{"memory": ..., "precision": ...}`. threads: CPU threads of the task; they change the last digits.
    health: `{"on_collapse": ..., "eigenvalue_every": ...}`.
    """

    seed: int
    replicate: int
    data: Settings
    space: Settings
    skeleton: Skeleton
    method: Settings
    handler: Settings
    final: Skeleton | None = None
    budget: Bounds | None = None
    predicted: Predicted | None = None
    start: Settings | None = None
    health: Settings = field(default_factory=dict)
    performance: Settings = field(default_factory=dict)
    threads: int = 1

    @property
    def key(self) -> str:
        """The search key: 20 hexadecimal digits. Trials with equal search keys share one search."""
        source = {"start": self.start["search"]} if self.start else {}
        return digest(self.to_json() | source, 20)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "search",
            "seed": self.seed,
            "replicate": self.replicate,
            "data": dict(self.data),
            "space": dict(self.space),
            "skeleton": self.skeleton.to_json(),
            "method": dict(self.method),
            "handler": dict(self.handler),
            "final": self.final and self.final.to_json(),
            "budget": self.budget and {name: dict(bound) for name, bound in self.budget.items()},
            "predicted": self.predicted and {name: dict(column) for name, column in self.predicted.items()},
            **({"start": dict(self.start)} if self.start else {}),
            "health": dict(self.health),
            "performance": dict(self.performance),
            "threads": self.threads,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SearchSpec:
        fields = {name: value for name, value in data.items() if name != "kind"}
        final = fields["final"] and Skeleton.from_json(fields["final"])
        return cls(**{**fields, "skeleton": Skeleton.from_json(fields["skeleton"]), "final": final})


@dataclass(frozen=True, kw_only=True)
class EvaluateSpec:
    """One measurement of an architecture's accuracy.

    skeleton: the network that is trained or read: the final one, or the search one for inherited accuracy.
    protocol: `{"name": "short", "epochs": 20, ...}`, fully resolved. timed: how long training took is one of the metrics.
    source: the search key whose weights are read, for `inherited`; empty otherwise.
    weights: URL of those weights; where they lie, not part of the identity.
    """

    seed: int
    replicate: int
    data: Settings
    space: Settings
    architecture: Architecture
    skeleton: Skeleton
    protocol: Settings
    timed: bool = False
    source: str = ""
    weights: str | None = None
    performance: Settings = field(default_factory=dict)
    threads: int = 1

    @property
    def key(self) -> str:
        """Hash of what the result depends on: 20 hexadecimal digits."""
        return digest({name: value for name, value in self.to_json().items() if name != "weights"}, 20)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "evaluate",
            "seed": self.seed,
            "replicate": self.replicate,
            "data": dict(self.data),
            "space": dict(self.space),
            "architecture": self.architecture.to_json(),
            "skeleton": self.skeleton.to_json(),
            "protocol": dict(self.protocol),
            **({"timed": True} if self.timed else {}),
            "source": self.source,
            "weights": self.weights,
            "performance": dict(self.performance),
            "threads": self.threads,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EvaluateSpec:
        fields = {name: value for name, value in data.items() if name != "kind"}
        architecture, skeleton = Architecture.from_json(fields["architecture"]), Skeleton.from_json(fields["skeleton"])
        return cls(**{**fields, "architecture": architecture, "skeleton": skeleton})


@dataclass(frozen=True, kw_only=True)
class RerankSpec:
    """A comparison of architectures by their accuracy with the weights of one search.

    weights: URL of those weights; where they lie, not part of the identity.
    """

    search: SearchSpec
    architectures: tuple[Architecture, ...]
    weights: str | None = None

    @property
    def key(self) -> str:
        """Hash of what the result depends on: 20 hexadecimal digits."""
        return digest([self.search.key, [architecture.key for architecture in self.architectures]], 20)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "rerank",
            "search": self.search.to_json(),
            "architectures": [architecture.to_json() for architecture in self.architectures],
            "weights": self.weights,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RerankSpec:
        architectures = tuple(map(Architecture.from_json, data["architectures"]))
        return cls(search=SearchSpec.from_json(data["search"]), architectures=architectures, weights=data["weights"])


@dataclass(frozen=True, kw_only=True)
class MeasureSpec:
    """Measured metrics of one network, on one device and alone there.

    skeleton: the final one. metrics: names. settings: `{"batch": ..., "warmups": ..., "repeats": ...}`, batch None for the device's
    own default. device: fingerprint of the device the study measures on, which any other refuses; None for the first look at one.
    """

    architecture: Architecture
    skeleton: Skeleton
    metrics: tuple[str, ...]
    settings: Settings
    device: Device | None
    threads: int = 1

    @property
    def key(self) -> str:
        """Hash of what the result depends on: 20 hexadecimal digits."""
        return digest(self.to_json(), 20)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "measure",
            "architecture": self.architecture.to_json(),
            "skeleton": self.skeleton.to_json(),
            "metrics": list(self.metrics),
            "settings": dict(self.settings),
            "device": self.device and dict(self.device),
            "threads": self.threads,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MeasureSpec:
        fields = {name: value for name, value in data.items() if name != "kind"}
        architecture, skeleton = Architecture.from_json(fields["architecture"]), Skeleton.from_json(fields["skeleton"])
        return cls(**{**fields, "architecture": architecture, "skeleton": skeleton, "metrics": tuple(fields["metrics"])})


def device_text(device: Device) -> str:
    """A fingerprint as people read it."""
    threads = f"{device['threads']} thread{'' if device['threads'] == 1 else 's'}"
    return f"{device['type']} {device['name']} ({threads}, torch {device['torch']})"
