"""Settings as a form shows them: names, defaults, choices, limits and what they mean, read off the classes that check them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from moonas.study.meanings import meanings

_LIMITS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
_ENDLESS = 2**31  # beyond this, a limit is the database's and tells nobody anything


@dataclass(frozen=True)
class Setting:
    """One setting of a class of settings.

    default: MISSING where it must be given. choices: all its values, where they are few. many: whether it is a list.
    limits: such as "at least 1". help: what it means.
    """

    name: str
    default: Any = None
    choices: tuple[Any, ...] = ()
    many: bool = False
    limits: str = ""
    help: str = ""

    @property
    def required(self) -> bool:
        return self.default is MISSING


@lru_cache
def settings_in(kind: Any) -> tuple[Setting, ...]:
    """Every setting of a dataclass of settings, in the order of its fields."""
    hints, told = get_type_hints(kind, include_extras=True), meanings(kind)
    return tuple(
        Setting(
            name=item.name,
            default=item.default if item.default_factory is MISSING else item.default_factory(),
            choices=_choices(hints[item.name]),
            many=any(get_origin(part) is tuple for part in _parts(hints[item.name])),
            limits=_limits(hints[item.name]),
            help=told.get(item.name, ""),
        )
        for item in fields(kind)
    )


def _parts(kind: Any) -> Iterator[Any]:
    """A type and all it is made of, without what is inside a list's or a mapping's brackets."""
    yield kind
    if get_origin(kind) is Annotated:
        yield from _parts(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _parts(part)


def _choices(kind: Any) -> tuple[Any, ...]:
    found: list[Any] = []
    for part in _parts(kind):
        found += get_args(part) if get_origin(part) is Literal else (True, False) if part is bool else ()
    return tuple(found)


def _limits(kind: Any) -> str:
    if any(get_origin(part) is tuple for part in _parts(kind)):
        return ""
    found: dict[str, Any] = {}
    for part in _parts(kind):
        for note in part.__metadata__ if get_origin(part) is Annotated else ():
            for limit in getattr(note, "metadata", [note]):
                found |= {name: value for name in _LIMITS if (value := getattr(limit, name, None)) is not None}
    return ", ".join(f"{_LIMITS[name]} {value}" for name, value in found.items() if value < _ENDLESS)
