"""Settings as a form shows them: names, defaults, choices, limits and what they mean, read off the JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from functools import lru_cache
from typing import Any

from moonas.study.json_schema import section_schema

_LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
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
def settings_in(config: Any) -> tuple[Setting, ...]:
    """Every setting of a dataclass of settings, in the order of its fields."""
    return tuple(_setting(name, schema) for name, schema in section_schema(config)["properties"].items())


def _setting(name: str, schema: Mapping[str, Any]) -> Setting:
    kinds = schema.get("anyOf", [schema])
    is_list = any(kind.get("type") == "array" for kind in kinds)
    return Setting(
        name=name,
        default=schema.get("default", MISSING),
        choices=() if is_list else tuple(value for kind in kinds for value in _choices(kind)),
        many=is_list,
        limits="" if is_list else ", ".join(text for kind in kinds for text in _limits(kind)),
        help=schema.get("description", ""),
    )


def _choices(kind: Mapping[str, Any]) -> list[Any]:
    return [True, False] if kind.get("type") == "boolean" else kind.get("enum", [kind["const"]] if "const" in kind else [])


def _limits(kind: Mapping[str, Any]) -> list[str]:
    return [f"{word} {kind[limit]}" for limit, word in _LIMITS.items() if limit in kind and kind[limit] < _ENDLESS]
