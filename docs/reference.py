"""Write the tables of settings in study-file.md from the schema: python docs/reference.py.

Which table is whose is told by the heading above it; the text around the tables is written by hand. With --check nothing is
written, and the exit code is 1 where the page is not what it would be.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from moonas.study.continuing import ContinueFrom
from moonas.study.data import DATA, DataConfig
from moonas.study.handlers import HANDLERS
from moonas.study.history import Past
from moonas.study.json_schema import SECTIONS, key_schemas, section_schema
from moonas.study.methods import METHODS
from moonas.study.protocols import PROTOCOLS
from moonas.study.samplers import SAMPLERS
from moonas.study.spaces import SPACES

PAGE = Path(__file__).parent / "study-file.md"
REGISTRIES = {"Data set": DATA, "Space": SPACES, "Method": METHODS, "Handler": HANDLERS, "Sampler": SAMPLERS, "Protocol": PROTOCOLS}
CONFIGS: dict[str, type[Any]] = {
    **SECTIONS,
    "data": DataConfig,
    "history": Past,
    "continue_from": ContinueFrom,
    **{f"{kind} {name}": entry.config for kind, registry in REGISTRIES.items() for name, entry in registry.items()},
}
PRESETS = {entry.config for entry in METHODS.values()}  # a method made from another is documented by what differs
TABLE = re.compile(r"^\| (?:key|setting) \| type \| default \| meaning \|\n(?:\|.*\n)+", re.MULTILINE)
HEADING = re.compile(r"^(#+ .+)$", re.MULTILINE)


def rewritten(text: str) -> str:
    """The page with every table of settings as the schema has it."""
    start, *parts = HEADING.split(text)
    named = [heading.lstrip("# ").replace("`", "") for heading in parts[::2]]
    for heading, body in zip(named, parts[1::2], strict=True):
        if heading == "Top level":
            start += "## Top level" + replaced(body, keys(named))
        elif heading in CONFIGS:
            start += parts[2 * named.index(heading)] + replaced(body, settings(CONFIGS[heading]))
        else:
            start += parts[2 * named.index(heading)] + body
    return start


def replaced(body: str, table: str) -> str:
    """The text below a heading with `table` in place of its own; where there is nothing to set, no table stands there."""
    return TABLE.sub(lambda _: table, body, count=1)


def keys(headings: Iterable[str]) -> str:
    """The table of the keys, each a link to the section about it where there is one."""
    found = key_schemas()
    rows = [
        row(f"[`{key}`](#{key})" if key in headings else f"`{key}`", kind, "default" not in kind) for key, kind in found.items()
    ]
    return table("key", rows)


def settings(config: type[Any]) -> str:
    """The table of a settings dataclass."""
    section = section_schema(config)
    own = config.__annotations__ if config.__base__ in PRESETS else section["properties"]
    rows = [
        row(f"`{name}`", kind, name in section.get("required", ())) for name, kind in section["properties"].items() if name in own
    ]
    return table("setting", rows)


def table(first: str, rows: Iterable[str]) -> str:
    """A table of Markdown with `first` as the name of its first column."""
    return "".join([f"| {first} | type | default | meaning |\n", "|---|---|---|---|\n", *rows])


def row(name: str, kind: Mapping[str, Any], required: bool) -> str:
    default = "required" if required else written(kind["default"]) if kind["default"] is not None else "absent"
    return f"| {name} | {words(kind)} | {default} | {kind['description']} |\n"


def written(value: Any) -> str:
    """A value as a study file has it, marked as code."""
    return f"`{bare(value)}`"


def bare(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return f"[{', '.join(map(bare, value))}]" if isinstance(value, list) else str(value)


def words(kind: Mapping[str, Any]) -> str:
    """A schema as people say it."""
    choices = [choice for choice in kind.get("anyOf", ()) if choice != {"type": "null"}]
    if any("name" in choice.get("properties", {}) for choice in choices) and "enum" in choices[0]:
        return "name, settings"
    if len(choices) == 2 and choices[1].get("items") == choices[0]:
        return f"{words(choices[0])}, or a list"
    if choices:
        return either([words(choice) for choice in choices])
    if "enum" in kind or "const" in kind:
        return either([written(value) for value in kind.get("enum", [kind.get("const")])])
    if kind["type"] == "array":
        return f"list of {plural(kind['items'])}"
    if kind["type"] == "object":
        return "section" if kind.get("properties") else "mapping"
    if kind["type"] in ("integer", "number"):
        return ("whole number" if kind["type"] == "integer" else "number") + limits(kind)
    return {"boolean": "true or false", "string": "text"}[kind["type"]]


def plural(kind: Mapping[str, Any]) -> str:
    if "title" in kind:
        return f"{kind['title']}s"
    if kind.get("type") in ("integer", "number"):
        return words(kind).replace("number", "numbers", 1)
    if kind.get("type") == "object":
        return "sections"
    return "names" if kind.get("type") == "string" or "enum" in kind else "names or sections"


def either(names: list[str]) -> str:
    """`a`, or `a or b`, or `a, b or c`."""
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def limits(kind: Mapping[str, Any]) -> str:
    """Where a number lies, as ` ≥ 1`, `, 4 to 1024` or ` in [0, 1)`."""
    low, high = kind.get("exclusiveMinimum", kind.get("minimum")), kind.get("exclusiveMaximum", kind.get("maximum"))
    if low is None and high is None:
        return ""
    if high is None or high > 2**53:
        return f" {'>' if 'exclusiveMinimum' in kind else '≥'} {low}"
    if kind["type"] == "integer":
        return f", {low} to {high}"
    return f" in {'(' if 'exclusiveMinimum' in kind else '['}{low:g}, {high:g}{')' if 'exclusiveMaximum' in kind else ']'}"


def main() -> None:
    """Write the page, or say that it is stale."""
    text = PAGE.read_text(encoding="utf-8")
    if "--check" not in sys.argv:
        PAGE.write_text(rewritten(text), encoding="utf-8")
    elif rewritten(text) != text:
        sys.exit("docs/study-file.md is not what the schema says; write it anew with: python docs/reference.py")


if __name__ == "__main__":
    main()
