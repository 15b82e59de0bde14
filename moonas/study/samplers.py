"""Samplers by name: what chooses the next trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict

from moonas.registry import Registry


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """Crosses methods, the grid points of their open settings, budgets, open widths and depths, and replicates."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class RandomSamplerConfig:
    """Draws each trial independently: a method, its open settings, a width and depth, and a budget they can meet."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True, kw_only=True)
class SamplerEntry:
    """A sampler: its settings, its class, and whether it ends by itself (else the study gives the number of trials)."""

    config: type[Any]
    load: str
    finite: bool


SAMPLERS: Registry[SamplerEntry] = Registry(
    "sampler",
    "sampler",
    {
        "grid": SamplerEntry(config=GridConfig, load="moonas.outer.samplers.grid:Grid", finite=True),
        "random": SamplerEntry(config=RandomSamplerConfig, load="moonas.outer.samplers.optuna:OptunaSampler", finite=False),
    },
)
