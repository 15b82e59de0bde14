"""What the form changes in the text: one setting, one name, one item more or less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moonas.dashboard.sweep.asked import (
    BESIDE,
    KEYS,
    bare,
    choices_at,
    name_at,
    registry_at,
    setting_at,
    settings_at,
    standing_for,
)
from moonas.dashboard.sweep.entries import read, written
from moonas.study.loading import parse_yaml
from moonas.study.methods import METHODS
from moonas.study.metrics import ADDITIVE
from moonas.study.yaml_text import ABSENT, Path, changed, part

FIRST_BUDGET = ["50%"]  # of a metric that is added


def entry(data: Any, path: Path) -> str:
    """What the field of a path shows."""
    if is_name(path):
        return name_at(data, path[:-1])
    setting = setting_at(data, path)
    return written(part(data, path), setting is not None and setting.many)


def is_name(path: Path) -> bool:
    """Whether a path is that of a name out of a table, such as `data.name`."""
    return len(path) > 1 and path[0] != "budgets" and registry_at(path[:-1]) is not None and path[-1] == bare(path[:-1])


def with_entry(text: str, path: Path, typed: str | None) -> str:
    """The text once a field was filled in; the same where it says what stood there. Raises StudyFileError where it is not YAML."""
    data = parse_yaml(text) or {}
    if (typed or "").strip() == entry(data, path):
        return text
    if is_name(path):
        return _with_name(text, data, path[:-1], typed)
    value = read(typed, setting_at(data, path), part(data, path))
    if value is not ABSENT:
        return changed(text, path, value, bare=bare(path), order=KEYS)
    if part(data, path) is ABSENT:
        return text
    above = part(data, path[:-1])
    if len(path) > 1 and isinstance(above, Mapping) and len(above) == 1:
        return changed(text, path[:-1], order=KEYS)  # a section that nothing is left of
    text = changed(text, path, order=KEYS)
    left = part(parse_yaml(text), path[:-1])
    if isinstance(left, Mapping) and set(left) == {bare(path)} and registry_at(path[:-1]) is not None:
        return changed(text, path[:-1], left[bare(path)])
    return text


def _with_name(text: str, data: Any, path: Path, name: str | None) -> str:
    """The text with another name out of a table; settings that do not belong to it are taken out."""
    if not name:
        return changed(text, path, order=KEYS)
    now = part(data, path)
    if not isinstance(now, Mapping):
        return changed(text, path, name if name != standing_for(data, path) or now is not ABSENT else ABSENT, order=KEYS)
    text = changed(text, (*path, bare(path)), name)
    known = {one.name for one in settings_at(parse_yaml(text), path)} | {bare(path), *BESIDE.get(str(path[0]), ())}
    if path[0] == "methods" and path[-1] != "handler" and now.get("handler") in METHODS[name].handlers:
        known.add("handler")
    for key in [key for key in now if key not in known]:
        text = changed(text, (*path, key))
    left = part(parse_yaml(text), path)
    return changed(text, path, name) if set(left) == {bare(path)} else text


def with_more(text: str, path: Path) -> str:
    """The text with one more item in a list: a method that fits the space, an objective or a budget that is not there yet."""
    data = parse_yaml(text) or {}
    if path == ("budgets",):
        now = part(data, path)
        unused = [name for name in ADDITIVE if not isinstance(now, Mapping) or name not in now]
        return changed(text, (*path, unused[0]), FIRST_BUDGET, order=KEYS) if unused else text
    items = part(data, path)
    count = len(items) if isinstance(items, list) else 0
    used = {name_at(data, (*path, index)) for index in range(count)}
    unused = [name for name in choices_at((*path, 0)) if name not in used and _fits(data, path, name)]
    name = (unused or choices_at((*path, 0)))[0]
    return changed(text, (*path, count), name, order=KEYS) if count else changed(text, path, [name], order=KEYS)


def without(text: str, path: Path) -> str:
    """The text without an item of a list."""
    above = part(parse_yaml(text), path[:-1])
    return changed(text, path[:-1] if isinstance(above, Mapping) and len(above) == 1 else path, order=KEYS)


def with_budget_of(text: str, path: Path, metric: str) -> str:
    """The text with a budget's levels under another metric."""
    levels = part(parse_yaml(text), path)
    if metric == path[-1] or levels is ABSENT:
        return text
    return changed(changed(text, (*path[:-1], metric), levels, order=KEYS), path)


def _fits(data: Any, path: Path, name: str) -> bool:
    """Whether a method finds its way in the study's space, and needs nothing that it is not told."""
    if path != ("methods",):
        return True
    space, entry = name_at(data, ("space",)), METHODS[name]
    return space in entry.spaces and not any(one.required for one in settings_at({"methods": [name]}, ("methods", 0)))
