"""What the form asks, and which class or table says what may be set there. All else of a study file is set in its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from moonas.registry import Registry
from moonas.study import json_schema
from moonas.study.data import DATA
from moonas.study.described import Setting, settings_in
from moonas.study.functions import FUNCTIONS
from moonas.study.handlers import HANDLERS
from moonas.study.meanings import meanings
from moonas.study.methods import METHODS
from moonas.study.metrics import COSTS, METRICS
from moonas.study.protocols import PROTOCOLS
from moonas.study.reserved import RESERVED
from moonas.study.samplers import SAMPLERS
from moonas.study.schema import StudyConfig, absent_entries
from moonas.study.spaces import SPACES
from moonas.study.yaml_text import ABSENT, Path, part

KEYS = tuple(item.name for item in fields(StudyConfig))  # in the order in which a file is best read
DEFAULTS = {item.name: item.default for item in fields(StudyConfig) if item.default is not MISSING}
PLAIN = ("name", "seed", "constraints", "trials", "replicates")
NAMED: dict[str, Registry[Any]] = {"data": DATA, "space": SPACES, "protocol": PROTOCOLS, "sampler": SAMPLERS}
SECTIONS = ("search", "final", "workers", "limits")
LISTS = ("objectives", "budgets", "methods")
BESIDE = {"methods": ("label",)}  # what stands beside a name's own settings


def elsewhere(data: Mapping[str, Any]) -> list[str]:
    """The keys of a file that the form does not show."""
    return [str(key) for key in data if key not in (*PLAIN, *NAMED, *SECTIONS, *LISTS)]


def registry_at(path: Path) -> Registry[Any] | None:
    """The table that the name at a path is taken from: `data`, `methods[0]`, `methods[0].handler`, `objectives[0]`."""
    if path[-1] == "handler":
        return HANDLERS
    if path[0] == "objectives":
        return METRICS
    return METHODS if path[0] == "methods" else NAMED.get(str(path[0]))


def bare(path: Path) -> str:
    """The key that a name alone stands for."""
    return "metric" if path[0] == "objectives" else "name"


def choices_at(path: Path) -> list[str]:
    """The names to choose from, without those that need what only a server chooses, or that nothing selects on."""
    registry = registry_at(path)
    names = list(registry or ())
    if registry is METRICS:
        return [name for name in names if not METRICS[name].reported_only]
    configs: dict[str, Any] = {name: getattr(registry[name], "config", None) for name in names} if registry else {}
    mine = {name: settings_in(config) if config else () for name, config in configs.items()}
    return [name for name, settings in mine.items() if not any(one.required and _is_reserved(path, one) for one in settings)]


def name_at(data: Any, path: Path) -> str:
    """The name that stands at a path, as `darts` or as `{name: darts, ...}`, or what is taken for an absent one."""
    found = part(data, path)
    if found is ABSENT or found is None:
        return standing_for(data, path)
    named = found.get(bare(path)) if isinstance(found, Mapping) else found
    return "" if named is None else str(named)


def standing_for(data: Any, path: Path) -> str:
    """The name that is taken where none is given; empty where one must be."""
    if path[-1] == "handler":
        method = name_at(data, path[:-1])
        return METHODS[method].handlers[0] if method in METHODS else ""
    return str(absent_entries(data).get(str(path[0]), "")) if len(path) == 1 and isinstance(data, Mapping) else ""


def settings_at(data: Any, path: Path) -> list[Setting]:
    """What may be set below a path, without what only a server chooses. Nothing where a name is not known."""
    if path[0] == "objectives":
        return _of_objective(name_at(data, path))
    registry, name = registry_at(path), name_at(data, path)
    configs: list[Any] = [json_schema.SECTIONS.get(str(path[0]))]
    if registry is not None and name in registry:
        configs = [getattr(registry[name], "config", None)]
    if name == "function" and (function := str(part(data, (*path, "function")))) in FUNCTIONS:
        configs.append(FUNCTIONS[function].config)
    own = [one for config in configs if config for one in settings_in(config)]
    return [one for one in own if not _is_reserved(path, one)]


def setting_at(data: Any, path: Path) -> Setting | None:
    """The setting at a path; None where it is a name, or not known."""
    if len(path) == 1:
        key = str(path[0])
        return Setting(key, DEFAULTS.get(key), many=key == "constraints", help=meanings(StudyConfig)[key])
    if path[0] == "budgets":
        return Setting(str(path[1]), many=True)
    return next((one for one in settings_at(data, path[:-1]) if one.name == path[-1]), None)


def _of_objective(metric: str) -> list[Setting]:
    """What `parse_objective` reads beside the metric. Where moonas cannot work the worst value out, it must be given."""
    if metric not in METRICS:
        return []
    entry = METRICS[metric]
    worst = MISSING if entry.reference is None and metric not in COSTS else entry.reference
    return [
        Setting("reference", worst, help="The worst value that counts in the hypervolume."),
        Setting("best", help="The best value that counts in the hypervolume."),
        Setting("known", entry.known, (True, False), help="Whether it is had without training."),
    ]


def _is_reserved(path: Path, setting: Setting) -> bool:
    return (path[0], setting.name) in RESERVED
