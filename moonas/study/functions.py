"""Functions by name, for studies that look for the best settings of anything: installed packages bring them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moonas.registry import Registry


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
