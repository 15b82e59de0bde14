"""Reading a study file: every mistake noted with its path, its value and the nearest known name, none of them stopping the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from moonas.errors import MoonasError, Problem, nearest
from moonas.registry import Registry

Value = TypeVar("Value")
_adapter = lru_cache(TypeAdapter)  # making one takes longer than using it a hundred times
_UNKNOWN_KEY = "unexpected_keyword_argument"


class Place:
    """A place in the file, such as `methods[0].name`; collects the mistakes found there and below."""

    def __init__(self, problems: list[Problem], path: str = "") -> None:
        self.problems, self.path = problems, path

    def __truediv__(self, part: str | int) -> Place:
        """The place one step below: a key, or an index."""
        step = f"[{part}]" if isinstance(part, int) else f".{part}" if self.path else part
        return Place(self.problems, self.path + step)

    def wrong(self, message: str) -> None:
        """Note a mistake here."""
        self.problems.append(Problem(self.path, message))

    def read(self, function: Callable[[Any], Value], value: Any) -> Value | None:
        """`function(value)`, or None with its complaint noted."""
        try:
            return function(value)
        except (MoonasError, ValueError) as error:
            self.wrong(str(error))
            return None

    def check(self, kind: Any, value: Any) -> Any:
        """`value` as any type that pydantic knows, or None with its complaints noted."""
        try:
            return _adapter(kind).validate_python(value)
        except ValidationError as error:
            self._note(error, [])
            return None

    def settings(self, kind: Any, value: Any) -> Any:
        """`value`, a mapping, as the settings dataclass `kind`, or None with every complaint noted."""
        if not isinstance(value, Mapping):
            self.wrong(f"expected settings as a mapping, got {value!r}")
            return None
        try:
            return _adapter(kind).validate_python({str(key): setting for key, setting in value.items()})
        except ValidationError as error:
            self._note(error, [item.name for item in fields(kind)])
            return None

    def name_and_settings(self, registry: Registry[Any], value: Any) -> tuple[str, dict[str, Any]] | None:
        """Split `{name: ..., settings}`, for which a bare name may stand, or None with the complaint noted."""
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            self.wrong(f"expected the name of a {registry.kind}, or {{name: ..., settings}}, got {value!r}")
        elif "name" not in value:
            (self / "name").wrong(f"is missing: which {registry.kind}? Known: {', '.join(registry)}.")
        elif not isinstance(value["name"], str) or value["name"] not in registry:
            (self / "name").wrong(registry.unknown(value["name"]))
        elif (self / "name").read(registry.__getitem__, value["name"]) is not None:
            return value["name"], {str(key): setting for key, setting in value.items() if key != "name"}
        return None

    def _note(self, error: ValidationError, known: list[str]) -> None:
        for item in error.errors(include_url=False):
            place = self
            for part in item["loc"]:
                place = place / part
            if item["type"] == _UNKNOWN_KEY and len(item["loc"]) == 1:
                place.wrong(unknown_key(str(item["loc"][0]), known))
            else:
                place.wrong(_message(item))


def unknown_key(name: str, known: list[str]) -> str:
    """The message for a key that does not exist at its place."""
    return f"{name!r} is not known here{nearest(name, known)}\n" + (
        f"Known: {', '.join(sorted(known))}." if known else "Nothing is to be set here."
    )


def settings_of(kind: Any, named: Mapping[str, Any]) -> Any:
    """The settings dataclass `kind` from resolved `{"name": ..., **settings}`. Raises pydantic's ValidationError."""
    return _adapter(kind).validate_python({name: value for name, value in named.items() if name != "name"})


def plain(value: Any) -> Any:
    """Settings as JSON data: dataclasses as mappings, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _message(item: Any) -> str:
    if item["type"] == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    if item["type"].startswith("missing"):
        return "is missing"
    return f"{item['msg'].replace('Input should be', 'must be')}, got {item['input']!r}"
