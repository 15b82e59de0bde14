"""The study file as a JSON schema: what editors of YAML complete and underline by, and what the reference's tables are made from.

What depends on several settings at once, or on what a space can reach, `moonas validate` alone can say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter

from moonas.registry import Registry
from moonas.study.continuing import ContinueFrom
from moonas.study.data import DATA
from moonas.study.handlers import HANDLERS
from moonas.study.history import Past
from moonas.study.meanings import meanings
from moonas.study.methods import METHODS
from moonas.study.metrics import ADDITIVE, ALIASES, METRICS
from moonas.study.numbers import Count, Seed
from moonas.study.promotion import Promotion
from moonas.study.protocols import PROTOCOLS
from moonas.study.pruning import Pruning
from moonas.study.ranges import KINDS
from moonas.study.samplers import SAMPLERS
from moonas.study.schema import ABSENT, NAME, StudyConfig
from moonas.study.sections import Decode, FinalSkeleton, Health, Keep, Limits, Measure, Performance, SearchSkeleton, Workers
from moonas.study.spaces import SPACES

Schema = dict[str, Any]
_LIMITS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}  # as pydantic leaves them
_TEXT: Schema = {"type": "string", "minLength": 1}
_NAME: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
_NUMBER: Schema = {"type": "number"}
_AMOUNT: Schema = {"type": "string", "pattern": r"^\s*[+-]?[\d.][\d_.]*([eE][+-]?\d+)?\s*[kKMGB]?\s*$"}  # 1e-4, 600e6, 30k, 2M
_BOUND: Schema = {"title": "bound", "type": "string", "pattern": "<=|>="}
_LEVEL: Schema = {
    "anyOf": [_NUMBER, {"type": "null"}, {"type": "string", "pattern": r"%\s*$|^none$|^geometric\("}, {"$ref": "#/$defs/band"}]
}
SECTIONS: dict[str, type[Any]] = {
    "search": SearchSkeleton,
    "final": FinalSkeleton,
    "pruning": Pruning,
    "promotion": Promotion,
    "decode": Decode,
    "measure": Measure,
    "workers": Workers,
    "health": Health,
    "limits": Limits,
    "performance": Performance,
    "keep": Keep,
}


def json_schema() -> Schema:
    """The schema of a whole study file, entries of installed packages included; JSON Schema, draft 2020-12."""
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "moonas study",
        "type": "object",
        "properties": key_schemas(),
        "required": ["name", "objectives", "methods"],
        "if": {"properties": {"methods": {"contains": _calls_a_function()}}},
        "else": {"required": ["data", "space", "search", "final"]},
        "additionalProperties": False,
        "$defs": {"band": _band(), "range": _range()},
    }
    found: Schema = _with_amounts(whole)
    return found


def key_schemas() -> dict[str, Schema]:
    """The schema of every key of the file, with what it means and what its absence does, in their order."""
    described, kinds = meanings(StudyConfig), _kinds()
    return {item.name: {**kinds[item.name], "description": described[item.name], **_default(item)} for item in fields(StudyConfig)}


def section_schema(config: type[Any]) -> Schema:
    """The schema of a settings dataclass: what pydantic says of its fields, with what they mean."""
    raw: Schema = TypeAdapter(config).json_schema()
    described, hints = meanings(config), get_type_hints(config)
    properties = {}
    for name, kind in raw.get("properties", {}).items():
        inner: Any = next(filter(is_dataclass, get_args(hints[name])), None)
        properties[name] = {"anyOf": [section_schema(inner), {"type": "null"}], "default": None} if inner else _tidy(kind)
        if name in described:
            properties[name]["description"] = described[name]
    required = {"required": raw["required"]} if raw.get("required") else {}
    return {"type": "object", "properties": properties, **required, "additionalProperties": False}


def _kinds() -> dict[str, Schema]:
    """What each key of the file may hold."""
    return {
        "name": _NAME,
        "seed": _tidy(TypeAdapter(Seed).json_schema()),
        "data": _named(DATA),
        "space": _named(SPACES),
        "objectives": {"type": "array", "items": _objective()},
        "constraints": {"type": "array", "items": _BOUND},
        "methods": {"type": "array", "minItems": 1, "items": _methods()},
        "budgets": _budgets(),
        "replicates": _tidy(TypeAdapter(Count).json_schema()),
        "sampler": _named(SAMPLERS),
        "trials": _tidy(TypeAdapter(Count).json_schema()),
        "history": {"type": "array", "items": section_schema(Past)},
        "protocol": _named(PROTOCOLS),
        "device_tables": {"type": "array", "items": {"title": "file", "type": ["string", "object"]}},
        "storage": _TEXT,
        "artifacts": _TEXT,
        **{key: section_schema(config) for key, config in SECTIONS.items()},
    }


def _default(item: Field[Any]) -> Schema:
    """What the absence of a key means; nothing where it must not be absent."""
    if item.name in ABSENT:
        return {"default": ABSENT[item.name]}
    if item.default_factory is not MISSING:
        return {"default": {}}
    if item.default is MISSING:
        return {}
    return {"default": [] if item.default == () else item.default}


def _named(registry: Registry[Any]) -> Schema:
    """A name, or a name with its settings."""
    listed = {name: section_schema(registry[name].config) for name in registry}
    return _name_or({name: _entry(name, section) for name, section in listed.items()})


def _name_or(entries: Mapping[str, Schema]) -> Schema:
    bare = [name for name, entry in entries.items() if entry["required"] == ["name"]]
    return {"anyOf": [{"enum": bare}, *entries.values()]}


def _entry(name: str, section: Schema, **others: Schema) -> Schema:
    """`section` as the settings of `name`, with `others` that stand beside them."""
    properties = {"name": {"const": name}, **others, **section["properties"]}
    return {**section, "properties": properties, "required": ["name", *section.get("required", [])]}


def _methods() -> Schema:
    continuing = section_schema(ContinueFrom)
    entries = {}
    for name in METHODS:
        entry = METHODS[name]
        section = section_schema(entry.config)
        settings = {key: _open(entry.config, key, kind) for key, kind in section["properties"].items()}
        handler = _name_or({one: _entry(one, section_schema(HANDLERS[one].config)) for one in entry.handlers})
        others = {"label": _NAME, "handler": handler, "continue_from": {"anyOf": [{"const": "nearest"}, continuing]}}
        entries[name] = _entry(name, {**section, "properties": settings}, **others)
        if name == "function":  # its own parameters stand beside it
            entries[name]["additionalProperties"] = True
    return _name_or(entries)


def _open(config: type[Any], key: str, kind: Schema) -> Schema:
    """A setting, or a range that leaves it open; one whose value is a mapping cannot be left open."""
    hint = get_type_hints(config)[key]
    if any(is_dataclass(part) or part is Mapping for part in (hint, *get_args(hint))):
        return kind
    about: Schema = {name: kind[name] for name in ("description", "default") if name in kind}
    value = {name: part for name, part in kind.items() if name not in about}
    return {"anyOf": [value, {"$ref": "#/$defs/range"}], **about}


def _calls_a_function() -> Schema:
    return {"type": "object", "properties": {"name": {"const": "function"}}, "required": ["name"]}


def _objective() -> Schema:
    names = [name for name in (*METRICS, *ALIASES) if name in ALIASES or not METRICS[name].reported_only]
    metric: Schema = {"enum": names}
    properties = {"metric": metric, "known": {"type": "boolean"}, "reference": _NUMBER, "best": _NUMBER}
    return {
        "title": "objective",
        "anyOf": [metric, {"type": "object", "properties": properties, "required": ["metric"], "additionalProperties": False}],
    }


def _budgets() -> Schema:
    levels = {"anyOf": [_LEVEL, {"type": "array", "minItems": 1, "items": _LEVEL}]}
    return {"type": "object", "propertyNames": {"enum": [*ADDITIVE, *ALIASES]}, "additionalProperties": levels}


def _band() -> Schema:
    end = {"anyOf": [_NUMBER, {"type": "string", "pattern": r"%\s*$"}]}
    return {"type": "object", "properties": {"lower": end, "upper": end}, "minProperties": 1, "additionalProperties": False}


def _range() -> Schema:
    choice: Schema = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean", "null"]}}
    ends: Schema = {"type": "array", "minItems": 2, "maxItems": 2, "items": _NUMBER}
    kinds = {kind: choice if kind == "choice" else ends for kind in KINDS}
    one_kind = {"type": "object", "properties": kinds, "minProperties": 1, "maxProperties": 1, "additionalProperties": False}
    return {"anyOf": [choice, one_kind]}


def _tidy(part: Any) -> Any:
    """A part of pydantic's schema by the standard's words, without titles."""
    if isinstance(part, list):
        return [_tidy(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    return {_LIMITS.get(key, key): value if key == "default" else _tidy(value) for key, value in part.items() if key != "title"}


def _with_amounts(part: Any) -> Any:
    """Wherever a number stands, text such as `2M` may stand as well; only its form is looked at."""
    if isinstance(part, list):
        return [_with_amounts(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    if part.get("type") in ("integer", "number") and "enum" not in part:
        about = {name: part[name] for name in ("description", "default") if name in part}
        return {"anyOf": [{name: value for name, value in part.items() if name not in about}, _AMOUNT], **about}
    return {key: value if key == "default" else _with_amounts(value) for key, value in part.items()}
