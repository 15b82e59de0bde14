"""How a value of a study file is written in a field of the form, and read from it."""

from __future__ import annotations

from dataclasses import MISSING
from typing import Any

from moonas.errors import StudyFileError
from moonas.study.described import Setting
from moonas.study.loading import parse_yaml
from moonas.study.numbers import parse_number
from moonas.study.yaml_text import ABSENT, flow

_OPEN, _CLOSE = "([{", ")]}"


def written(value: Any, many: bool = False) -> str:
    """A value as a field shows it: what would stand behind the colon, a list of many without its brackets."""
    if value is ABSENT or value is None:
        return ""
    if many and isinstance(value, list | tuple):
        return ", ".join(map(written, value))
    return value if isinstance(value, str) else flow(list(value) if isinstance(value, tuple) else value)


def read(text: str | None, setting: Setting | None, now: Any) -> Any:
    """The value that a field's text means; ABSENT where it is empty or says the default.

    now: what stands there. Where a setting takes many, a single one stays without a list around it if it has none now.
    """
    text = (text or "").strip()
    if not text:
        return ABSENT
    if setting is None or not setting.many or text.startswith("["):
        value = _value(text)
    else:
        items = [_value(item) for item in split(text)]
        bare = now if now is not ABSENT else setting.default
        value = items[0] if len(items) == 1 and isinstance(bare, str | int | float) else items
    return ABSENT if setting is not None and is_default(value, setting.default) else value


def split(text: str) -> list[str]:
    """A list written with commas; those within brackets belong to an item."""
    items, depth = [""], 0
    for letter in text:
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if letter == "," and depth <= 0:
            items.append("")
        else:
            items[-1] += letter
    return [item.strip() for item in items if item.strip()]


def _value(text: str) -> Any:
    """What text means behind a colon; the text itself where it is no YAML, for the study file's reader to judge."""
    try:
        found = parse_yaml(f"[{text}]") if text[0] in "[{'\"" else parse_yaml(text)
    except StudyFileError:
        return text
    if text[0] in "[{'\"":
        return found[0] if len(found) == 1 else text
    return text if isinstance(found, dict) or found is None else found


def is_default(value: Any, default: Any) -> bool:
    """Whether a value says what stands there anyway; False where there is no default."""
    if default is MISSING or default is None:
        return False
    if isinstance(default, bool) or isinstance(value, bool):
        return value is default
    if isinstance(default, int | float) and isinstance(value, int | float | str):
        try:
            return parse_number(value) == default
        except ValueError:
            return False
    return bool(value == (list(default) if isinstance(default, tuple) else default))
