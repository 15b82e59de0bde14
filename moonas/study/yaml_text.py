"""The text of a study file with the place of each part in it, and changing one part of it while all the rest stays as it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

import yaml

from moonas.errors import StudyFileError
from moonas.study.loading import parse_yaml
from moonas.study.strict_yaml import StrictLoader

Path = tuple[str | int, ...]
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


class _Absent:
    """What stands where nothing is set."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()


def read_path(text: str) -> Path:
    """`methods[0].name` as ("methods", 0, "name")."""
    return tuple(int(index) if index else key for index, key in _STEP.findall(text))


def write_path(path: Path) -> str:
    """What `read_path` reads."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def flow(value: Any) -> str:
    """A value on one line, as it may stand behind a colon."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    return text.removesuffix("\n...\n").strip()


def part(data: Any, path: Path) -> Any:
    """What stands at a path of parsed YAML; ABSENT where nothing does."""
    for step in path:
        known: Any = range(len(data)) if isinstance(data, list) else data if isinstance(data, Mapping) else ()
        if step not in known:
            return ABSENT
        data = data[step]
    return data


def line_of(text: str, path: Path) -> int:
    """The line, from 1, of what stands at the path, or of what it would stand in. Raises StudyFileError where it is not YAML."""
    parse_yaml(text)
    node, line = yaml.compose(text, Loader=StrictLoader), 1
    for step in path:
        found = _entry(node, step)
        if found is None:
            break
        key, node = found
        line = (key or node).start_mark.line + 1
    return line


def changed(text: str, path: Path, value: Any = ABSENT, *, bare: str = "name", order: Sequence[str] = ()) -> str:
    """The text with `value` at the path, or with nothing there; comments and the rest stay, but for what a changed line forces.

    A mapping that is not there yet is made; a text in its place becomes the mapping's `bare`. An index behind the last item
    appends. order: of the keys of the whole, for where a new one goes. Raises StudyFileError where the text is not YAML.

    Every change is read again before it is given. Where a small one does not say what it should (an anchor was lost, say), what
    it stands in is written anew on one line, in the end the whole.
    """
    wanted = _put(deepcopy(parse_yaml(text)), path, value, bare)
    root = yaml.compose(text, Loader=StrictLoader)
    for attempt in _attempts(text, root, path, value, wanted, order):
        if _reads_as(attempt, wanted):
            return attempt
    return yaml.safe_dump(wanted, sort_keys=False, allow_unicode=True)


def _attempts(text: str, root: Any, path: Path, value: Any, wanted: Any, order: Sequence[str]) -> Iterator[str]:
    """Texts that may say what is wanted, those that change least first."""
    first = _without(text, root, path) if value is ABSENT else _with(text, root, path, value, order)
    for attempt in (first, *(_with(text, root, path[:n], part(wanted, path[:n]), order) for n in range(len(path) - 1, 0, -1))):
        if attempt is not None:
            yield attempt


def _reads_as(text: str, wanted: Any) -> bool:
    try:
        return bool(parse_yaml(text) == wanted)
    except StudyFileError:
        return False


def _put(data: Any, path: Path, value: Any, bare: str) -> Any:
    """`data` with the value at the path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(data) if isinstance(data, list) else []
        below = _put(items[step] if step < len(items) else None, rest, value, bare)
        return items[:step] + ([] if below is ABSENT else [below]) + items[step + 1 :]
    if not isinstance(data, Mapping):
        data = {bare: data} if isinstance(data, str) else {}
    below = _put(data.get(step), rest, value, bare)
    if below is ABSENT:
        return {key: item for key, item in data.items() if key != step}
    return {**data, step: below}


def _with(text: str, root: Any, path: Path, value: Any, order: Sequence[str]) -> str | None:
    """The text with the node at the path written anew on one line, or added to what it belongs to."""
    *above, step = path
    parent = _node(root, tuple(above))
    if root is None and len(path) == 1:
        return f"{text.rstrip()}\n{step}: {flow(value)}\n".lstrip()
    if not isinstance(parent, yaml.SequenceNode if isinstance(step, int) else yaml.MappingNode):
        return None
    found = _entry(parent, step)
    if found is None:
        return _added(text, parent, step, flow(value), order if not above else ())
    key, node = found
    start = node.start_mark.index
    if _is_block(node):  # from behind its colon or dash, so that it stands on that line
        start = text.index(":", key.end_mark.index) + 1 if key else text.rindex("-", 0, start) + 1
    space = "" if text[start - 1 : start].isspace() or text[start - 1 : start] in ("[", "{", "") else " "
    return f"{text[:start]}{space}{flow(value)}{text[_end(text, node) :]}"


def _added(text: str, parent: Any, step: str | int, written: str, order: Sequence[str]) -> str | None:
    """The text with one more entry in a mapping or a list."""
    if not parent.value:
        return None
    entry = written if isinstance(step, int) else f"{flow(step)}: {written}"
    if parent.flow_style:
        end = _end(text, _last(parent.value[-1]))
        return f"{text[:end]}, {entry}{text[end:]}"
    if isinstance(step, int):
        start = text.rindex("-", 0, parent.value[0].start_mark.index)
        entry = f"- {entry}"
    else:
        start = parent.value[0][0].start_mark.index
    indent = start - _line_start(text, start)
    place = _place(parent, step, order)
    if place == 0:
        begin = _line_start(text, start)
        return f"{text[:begin]}{' ' * indent}{entry}\n{text[begin:]}"
    end = _line_end(text, _end(text, _last(parent.value[place - 1])))
    return f"{text[:end]}\n{' ' * indent}{entry}{text[end:]}"


def _place(parent: Any, step: str | int, order: Sequence[str]) -> int:
    """Behind how many entries a new one goes: those that come before it in the order, else all."""
    if step not in order:
        return len(parent.value)
    earlier = set(order[: list(order).index(str(step))])
    return max((number for number, (key, _) in enumerate(parent.value, 1) if key.value in earlier), default=0)


def _without(text: str, root: Any, path: Path) -> str | None:
    """The text without the entry at the path; None where it is the only one, or shares its line with what it stands in."""
    *above, step = path
    parent = _node(root, tuple(above))
    found = _entry(parent, step) if parent is not None else None
    if found is None:
        return text
    if len(parent.value) == 1:
        return None
    entries = [pair if isinstance(pair, tuple) else (None, pair) for pair in parent.value]
    place = entries.index(found)
    start, end = (found[0] or found[1]).start_mark.index, _end(text, found[1])
    if parent.flow_style:
        if place:
            return text[: _end(text, entries[place - 1][1])] + text[end:]
        following = entries[1][0] or entries[1][1]
        return text[:start] + text[following.start_mark.index :]
    if found[0] is None:
        start = text.rindex("-", 0, start)
    begin = _line_start(text, start)
    return None if text[begin:start].strip() else text[:begin] + text[_line_end(text, end) + 1 :]


def _node(root: Any, path: Path) -> Any:
    for step in path:
        found = _entry(root, step)
        if found is None:
            return None
        root = found[1]
    return root


def _entry(node: Any, step: str | int) -> tuple[Any, Any] | None:
    """(key, value) nodes of one entry; without a key in a list."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
        return (None, node.value[step]) if step < len(node.value) else None
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next(((key, value) for key, value in pairs if key.value == step), None)


def _last(entry: Any) -> Any:
    return entry[1] if isinstance(entry, tuple) else entry


def _is_block(node: Any) -> bool:
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _end(text: str, node: Any) -> int:
    """Where a node's own text ends, without the comments and empty lines behind it."""
    if _is_block(node) and node.value:
        return _end(text, _last(node.value[-1]))
    end: int = node.end_mark.index
    return len(text[:end].rstrip()) if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">") else end


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    end = text.find("\n", index)
    return len(text) if end < 0 else end
