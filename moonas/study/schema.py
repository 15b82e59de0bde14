"""The study file as one tree of frozen, typed objects, and how each part of it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from moonas.errors import nearest
from moonas.registry import Registry
from moonas.study.bounds import Bound, parse_bound
from moonas.study.budgets import Budgets, Level, parse_levels
from moonas.study.continuing import ContinueFrom
from moonas.study.data import DATA, classes, input_shape
from moonas.study.device_tables import DeviceTable
from moonas.study.functions import FUNCTIONS, declare_returned
from moonas.study.handlers import HANDLERS
from moonas.study.history import Past
from moonas.study.methods import METHODS
from moonas.study.metrics import ADDITIVE, metric_name
from moonas.study.numbers import Count, Seed
from moonas.study.objectives import Objective, parse_objective
from moonas.study.promotion import Promotion
from moonas.study.protocols import PROTOCOLS
from moonas.study.pruning import Pruning
from moonas.study.ranges import Range, as_range
from moonas.study.samplers import SAMPLERS
from moonas.study.sections import Decode, FinalSkeleton, Health, Keep, Limits, Measure, Performance, SearchSkeleton, Workers
from moonas.study.spaces import SPACES
from moonas.study.validation import Place, plain, unknown_key
from moonas.study.variants import Method, Named

SCHEMA = 1  # of the resolved form that a study database stores
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A study file, checked, with every default filled in."""

    name: str
    """what the study is called in its database: 1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"""
    seed: int = 0
    """all random streams and the split of the data follow from it"""
    data: Named
    """the data set"""
    space: Named
    """the search space"""
    search: SearchSkeleton
    """the skeleton that searches run in"""
    final: FinalSkeleton
    """the skeleton that is deployed, whose costs are counted"""
    objectives: tuple[Objective, ...]
    """what is traded off, at least one"""
    constraints: tuple[Bound, ...] = ()
    """what every member of the front must meet"""
    methods: tuple[Method, ...]
    """the method variants to compare, at least one"""
    budgets: Budgets = field(default_factory=lambda: Budgets({}, {}))
    """the bounds to sweep"""
    replicates: int = 1
    """how often every combination is done, each time with other random streams"""
    sampler: Named
    """what chooses the trials; where `trials` is given, absent means `moonas`"""
    trials: int | None = None
    """how many trials at most; `grid` also ends by itself, every other sampler needs a number"""
    history: tuple[Past, ...] = ()
    """trials of elsewhere that the sampler learns from"""
    protocol: Named
    """how accuracy is obtained"""
    pruning: Pruning | None = None
    """when trainings are given up; they all run to their end where absent"""
    promotion: Promotion | None = None
    """shorter trainings that come first"""
    decode: Decode = field(default_factory=Decode)
    """how architectures are read off a search"""
    measure: Measure = field(default_factory=Measure)
    """how latency, memory and energy are measured"""
    device_tables: tuple[DeviceTable, ...] = ()
    """tables of devices that predict latency and energy"""
    workers: Workers = field(default_factory=Workers)
    """where tasks run"""
    health: Health = field(default_factory=Health)
    """what becomes of searches that collapse"""
    limits: Limits = field(default_factory=Limits)
    """when to stop"""
    performance: Performance = field(default_factory=Performance)
    """how to compute"""
    keep: Keep = field(default_factory=Keep)
    """which weights stay"""
    storage: str | None = None
    """the study database, such as `sqlite:///moonas.db`; `--storage` comes before it"""
    artifacts: str | None = None
    """the folder of checkpoints and weights, such as `s3://bucket/moonas`"""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of the images the networks see."""
        return input_shape(self.data.name, self.data.settings)

    @property
    def classes(self) -> int:
        return classes(self.data.name, self.data.settings)

    def limited(self, metrics: Mapping[str, float]) -> list[float]:
        """Of a network's metrics, that of each constraint."""
        return [metrics[constraint.metric] for constraint in self.constraints]

    def method(self, label: str) -> Method:
        return next(method for method in self.methods if method.label == label)

    def to_json(self) -> dict[str, Any]:
        """Resolved, as JSON data that `read_study` reads back to an equal config."""
        return {item.name: _to_json(getattr(self, item.name)) for item in fields(self)}


def read_study(raw: Any, place: Place) -> dict[str, Any]:
    """The sound parts of a study file by name, absent ones with their defaults; mistakes are noted at `place`, below their part."""
    if not isinstance(raw, Mapping):
        place.wrong("the file is empty" if raw is None else f"expected settings such as `name: digits`, got {raw!r}")
        return {}
    known = {item.name: item for item in fields(StudyConfig)}
    for key in raw:
        if key not in known:
            (place / str(key)).wrong(unknown_key(str(key), list(known)))
    (place / "methods").read(declare_returned, raw.get("methods"))
    absent = ABSENT | (_WITHOUT_NETWORK if _names(raw.get("methods")) == {"function"} else {})
    if raw.get("trials") is not None:
        absent["sampler"] = "moonas"  # only a sweep ends by itself
    parts: dict[str, Any] = {}
    for key, reader in _READERS.items():
        value = raw.get(key)
        if value is None and key in absent:
            value = absent[key]
        before = len(place.problems)
        if value is not None:
            found = reader(value, place / key)
            if len(place.problems) == before:
                parts[key] = found
        elif known[key].default is not MISSING:
            parts[key] = known[key].default
        elif callable(make := known[key].default_factory):
            parts[key] = make()
        else:
            (place / key).wrong("is missing")
    return parts


def _names(methods: Any) -> set[str]:
    """The names of all methods of a file, as far as they can be told."""
    listed = methods if isinstance(methods, list | tuple) else []
    return {str(method.get("name") if isinstance(method, Mapping) else getattr(method, "name", method)) for method in listed}


def _to_json(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, tuple):
        return [_to_json(item) for item in value]
    return plain(value)


def _name(value: Any, place: Place) -> str | None:
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    place.wrong(f"expected 1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or digit, got {value!r}")
    return None


def _text(value: Any, place: Place) -> str | None:
    if not isinstance(value, str) or not value:
        place.wrong(f"expected text, got {value!r}")
    return value


def _pydantic(kind: Any) -> Callable[[Any, Place], Any]:
    return lambda value, place: place.check(kind, value)


def _section(kind: type[Any]) -> Callable[[Any, Place], Any]:
    return lambda value, place: place.settings(kind, value)


def _named(registry: Registry[Any]) -> Callable[[Any, Place], Named | None]:
    def read(value: Any, place: Place) -> Named | None:
        found = place.name_and_settings(registry, value)
        if found is None:
            return None
        name, settings = found
        config = getattr(registry[name], "config", None)
        return Named(name, place.settings(config, settings) if config else None)

    return read


def _list_of(read: Callable[[Any, Place], Any]) -> Callable[[Any, Place], Any]:
    def read_all(value: Any, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            place.wrong(f"expected a list, got {value!r}")
            return ()
        return tuple(read(item, place / index) for index, item in enumerate(value))

    return read_all


def _method(value: Any, place: Place) -> Method | None:
    found = place.name_and_settings(METHODS, value)
    if found is None:
        return None
    name, settings = found
    entry = METHODS[name]
    kind, function = entry.config, None
    if name == "function" and settings.get("returns") is not None:
        return _called_elsewhere(settings, place)
    if name == "function":
        function = settings.pop("function", None)
        settings.pop("returns", None)
        if not isinstance(function, str) or function not in FUNCTIONS:
            told = (
                "is missing: which function?"
                if function is None
                else f"{function!r} is not a function{nearest(function, FUNCTIONS)}"
            )
            (place / "function").wrong(f"{told}\nKnown: {', '.join(FUNCTIONS) or 'none; an installed package brings them'}.")
            return None
        kind = FUNCTIONS[function].config
    label = _name(settings.pop("label", name), place / "label")
    handler = _named(HANDLERS)(settings.pop("handler", entry.handlers[0]), place / "handler")
    continue_from = _continue_from(settings.pop("continue_from", None), place / "continue_from")
    ranges = _ranges(kind, settings, place)
    firsts = {**settings, **{key: values.values[0] for key, values in ranges.items()}}
    needed = {item.name: firsts[item.name] for item in fields(kind) if item.default is MISSING and item.name in firsts}
    checked = {key: _checked_range(kind, key, values, needed, place) for key, values in ranges.items()}
    config = place.settings(kind, firsts) if None not in checked.values() else None
    if config is None or handler is None or label is None:
        return None
    open_settings = {key: checked_range for key, checked_range in sorted(checked.items()) if checked_range is not None}
    closed = {key: setting for key, setting in plain(config).items() if key not in open_settings}
    if function is not None:
        closed = {"function": function, **closed}
    return Method(name, label, handler, closed, open_settings, continue_from)


def _called_elsewhere(settings: dict[str, Any], place: Place) -> Method | None:
    """A function whose trials were made elsewhere: nothing is known of its parameters but what the file says."""
    own = {name: settings.pop(name) for name in ("function", "returns") if name in settings}
    label, config = _name(settings.pop("label", "function"), place / "label"), place.settings(METHODS["function"].config, own)
    handler = _named(HANDLERS)(settings.pop("handler", "none"), place / "handler")
    ranges = {name: (place / name).read(as_range, value) for name, value in settings.items()}
    if config is None or label is None or handler is None:
        return None
    found = {name: values for name, values in sorted(ranges.items()) if values is not None}
    closed = {name: value for name, value in settings.items() if name not in found}
    return Method("function", label, handler, {**plain(config), **closed}, found)


def _continue_from(value: Any, place: Place) -> ContinueFrom | None:
    if value is None:
        return None
    found: ContinueFrom | None = place.settings(ContinueFrom, {"name": value} if isinstance(value, str) else value)
    return found


def _ranges(config: type[Any], settings: dict[str, Any], place: Place) -> dict[str, Range]:
    """The settings that are left open, taken out of `settings`."""
    found: dict[str, Range] = {}
    for key in [item.name for item in fields(config) if item.name in settings]:
        if isinstance(settings[key], Mapping | list | tuple | Range) and not _is_structured(config, key):
            values = (place / key).read(as_range, settings.pop(key))
            if values is not None:
                found[key] = values
    return found


def _is_structured(config: type[Any], key: str) -> bool:
    """Whether one value of a setting is a mapping itself, so that it cannot be left open."""
    kind = get_type_hints(config)[key]
    return any(is_dataclass(part) for part in (kind, *get_args(kind)))


def _checked_range(config: type[Any], key: str, found: Range, needed: Mapping[str, Any], place: Place) -> Range | None:
    """A range that leaves the setting `key` of `config` open, each of its values checked like a single one.

    needed: values for the settings that have no default.
    """
    checked = [place.settings(config, {**needed, key: one}) for one in found.values]
    if None in checked:
        return None
    values = [getattr(settings, key) for settings in checked]
    if found.kind == "choice":
        return found.with_values(list(dict.fromkeys(values)))
    if found.kind != "int" and any(isinstance(one, int) for one in values):
        (place / key).wrong(f"is a whole number, so its range must be a list or {{int: {values}}}, not {found.to_json()}")
    return found


def _budgets(value: Any, place: Place) -> Budgets | None:
    if not isinstance(value, Mapping):
        place.wrong(f"expected metrics with their budgets, such as {{params: [10%, 35%]}}, got {value!r}")
        return None
    texts: dict[str, Any] = {}
    levels: dict[str, tuple[Level, ...]] = {}
    for key, text in value.items():
        here = place / str(key)
        metric = here.read(metric_name, key)
        if metric is not None and metric not in ADDITIVE:
            here.wrong(f"{metric} cannot be a budget; costs that add up can: {', '.join(ADDITIVE)}")
        if metric in texts:
            here.wrong(f"{metric} stands more than once")
        if metric is not None:
            texts[metric], levels[metric] = text, _levels(text, here)
    return Budgets(texts, levels)


def _levels(value: Any, place: Place) -> tuple[Level, ...]:
    """The entries of one metric's budgets: a list, or one entry by itself."""
    if isinstance(value, list | tuple):
        if not value:
            place.wrong("expected at least one budget; write [none] for a sweep without a bound")
        read = [(place / index).read(parse_levels, item) for index, item in enumerate(value)]
    else:
        read = [place.read(parse_levels, value)]
    return tuple(level for levels in read if levels is not None for level in levels)


def _past(value: Any, place: Place) -> Past | None:
    found: Past | None = place.settings(Past, value)
    if found is None:
        return None
    if (found.study is None) == (found.csv is None):
        place.wrong("expected either `study`, the name of a study, or `csv`, a file")
    elif found.csv is not None and found.trials is None:
        place.wrong(f"names the file {found.csv!r}; only a study file on disk may do so: give its rows as `trials`")
    return found


def _device_table(value: Any, place: Place) -> DeviceTable | None:
    if isinstance(value, str):
        place.wrong(f"names the file {value!r}; only a study file on disk may do so: give the table's content")
        return None
    return place.settings(DeviceTable, value)


_READERS: dict[str, Callable[[Any, Place], Any]] = {
    "name": _name,
    "seed": _pydantic(Seed),
    "data": _named(DATA),
    "space": _named(SPACES),
    "search": _section(SearchSkeleton),
    "final": _section(FinalSkeleton),
    "objectives": _list_of(lambda value, place: place.read(parse_objective, value)),
    "constraints": _list_of(lambda value, place: place.read(parse_bound, value)),
    "methods": _list_of(_method),
    "budgets": _budgets,
    "replicates": _pydantic(Count),
    "sampler": _named(SAMPLERS),
    "trials": _pydantic(Count),
    "history": _list_of(_past),
    "protocol": _named(PROTOCOLS),
    "pruning": _section(Pruning),
    "promotion": _section(Promotion),
    "decode": _section(Decode),
    "measure": _section(Measure),
    "device_tables": _list_of(_device_table),
    "workers": _section(Workers),
    "limits": _section(Limits),
    "health": _section(Health),
    "performance": _section(Performance),
    "keep": _section(Keep),
    "storage": _text,
    "artifacts": _text,
}
ABSENT: dict[str, Any] = {"sampler": "grid", "protocol": "short"}  # what an absent entry stands for
_ONE = {"channels": 1, "cells": 1}
_WITHOUT_NETWORK = {"data": "none", "space": "none", "search": _ONE, "final": _ONE, "protocol": "function"}
