"""Functions by name, for studies that look for the best settings of anything: installed packages bring them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from moonas.registry import Registry
from moonas.study.metrics import declare_metric


@dataclass(frozen=True, kw_only=True)
class FunctionEntry:
    """A function whose parameters a study searches.

    config: a keyword-only dataclass with a field for each parameter: its type and, where it may be left out, its default.
    metrics: names of what the function returns, each published as a metric too; objectives and constraints are among them.
    load: "module:function", called as `function(params, report)`. params: a value for each parameter, and `seed`, a whole number
    that differs between replicates. report: may be called with a mapping of numbers, as often as there is something to tell.
    It returns a mapping with a number for each of `metrics`.
    """

    config: type[Any]
    metrics: tuple[str, ...]
    load: str


FUNCTIONS: Registry[FunctionEntry] = Registry("function", "function", {})


def declare_returned(methods: Any) -> None:
    """Make known what the functions of a study returned that were called elsewhere. methods: as its file has them.

    Raises UsageError where a metric of that name is something else.
    """
    for method in methods if isinstance(methods, list) else ():
        returns = method.get("returns") if isinstance(method, Mapping) and method.get("name") == "function" else None
        for name, direction in returns.items() if isinstance(returns, Mapping) else ():
            if direction in ("minimize", "maximize"):
                declare_metric(str(name), direction)
