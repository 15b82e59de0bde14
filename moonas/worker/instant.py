"""Tasks that need no torch: architectures that a method names without a search, and accuracies that stand in a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

from moonas.machine import cpu_name
from moonas.registry import load_object
from moonas.specs import EvaluateSpec, SearchSpec
from moonas.study.methods import METHODS
from moonas.study.protocols import PROTOCOLS


def run_instant(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a spec whose method does not search, or whose protocol looks accuracies up."""
    return propose(SearchSpec.from_json(spec)) if spec["kind"] == "search" else look_up(EvaluateSpec.from_json(spec))


def propose(spec: SearchSpec) -> dict[str, Any]:
    """The result of a search by a method that trains no supernet. Raises InfeasibleError."""
    proposed = load_object(METHODS[spec.method["name"]].load)(spec).propose()
    return {
        "kind": "search",
        **_provenance(spec.threads),
        "scores": None,
        "slot_scores": None,
        "operations": {},
        "architecture": proposed.to_json(),
        "epochs": 0,
        "weights": None,
        "health": {},
        "seconds": 0.0,
        "data_checksum": None,
    }


def look_up(spec: EvaluateSpec) -> dict[str, Any]:
    """The result of an evaluation by a protocol that trains nothing. Raises DataError where the table is missing."""
    source = PROTOCOLS[spec.protocol["name"]].look_up
    assert source is not None
    metrics, checksum = load_object(source)(spec)
    return {"kind": "evaluate", "metrics": metrics, "train_seconds": 0.0, "data_checksum": checksum, **_provenance(spec.threads)}


@cache
def _provenance(threads: int) -> dict[str, Any]:
    return {"versions": {"moonas": version("moonas")}, "device": {"type": "cpu", "name": cpu_name(), "threads": threads}}
