"""Texts to begin a study file with: a few of our own, and those of stored studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from importlib.resources import files
from typing import Any

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.sweep.asked import LISTS, bare, settings_at, standing_for
from moonas.dashboard.sweep.entries import is_default
from moonas.errors import MoonasError
from moonas.study.loading import study_from
from moonas.study.reserved import RESERVED
from moonas.study.schema import StudyConfig
from moonas.study.yaml_text import Path, flow

TEMPLATES = ("first", "random", "training")


@cache
def templates() -> dict[str, tuple[str, str]]:
    """{name: (title, text)} of the files in templates/; the title is what the first line says before its colon."""
    folder = files("moonas.dashboard.sweep") / "templates"
    texts = {name: folder.joinpath(f"{name}.yaml").read_text("utf-8") for name in TEMPLATES}
    return {name: (text.partition(":")[0].removeprefix("# "), text) for name, text in texts.items()}


def beginning(catalogue: Catalogue, study: str | None) -> str:
    """What the editor shows at first: our first template, or a stored study under a name that is free. Raises UnknownStudyError."""
    if study is None:
        return templates()[TEMPLATES[0]][1]
    return text_of(catalogue.store.study(study).config, free_name(study, catalogue.names()))


def free_name(name: str, taken: list[str]) -> str:
    """`name-2`, or the next number that is free."""
    stem = name[:60]
    return next(one for number in range(2, len(taken) + 3) if (one := f"{stem}-{number}") not in taken)


def text_of(config: Mapping[str, Any], name: str) -> str:
    """The study file of a stored configuration: what differs from the defaults, where that reads as the same study."""
    whole = {**{key: value for key, value in config.items() if (key,) not in RESERVED}, "name": name}
    brief = shortened(whole)
    try:
        same = study_from(brief) == study_from(whole)
    except MoonasError:  # such as a plugin that is not installed here
        same = False
    return "".join(_lines(key, value) for key, value in (brief if same else whole).items())


def shortened(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved configuration without what is the default, in the order of the schema."""
    found = {}
    for item in fields(StudyConfig):
        value = _short(config, (item.name,), config.get(item.name))
        standing: Any = standing_for(config, (item.name,)) or (item.default if item.default_factory is MISSING else {})
        if value is not None and value != [] and value != standing:
            found[item.name] = value
    return found


def _short(config: Mapping[str, Any], path: Path, value: Any) -> Any:
    if path[0] in LISTS and isinstance(value, list) and len(path) == 1:
        return [_short(config, (*path, index), item) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    defaults = {one.name: one.default for one in settings_at(config, path)}
    if path[0] == "methods" and path[-1] != "handler":
        defaults |= {"label": value.get("name"), "handler": standing_for(config, (*path, "handler"))}
    kept = {}
    for key, item in value.items():
        below = _short(config, (*path, key), item) if key == "handler" else item
        if not (is_default(below, defaults.get(key)) or (below is None and defaults.get(key) is None)):
            kept[key] = below
    return kept[bare(path)] if set(kept) == {bare(path)} else kept


def _lines(key: str, value: Any) -> str:
    if key == "methods":
        return "methods:\n" + "".join(f"  - {flow(item)}\n" for item in value)
    return f"{key}: {flow(value)}\n"
