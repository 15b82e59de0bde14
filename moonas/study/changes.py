"""What may change under a study's name: free settings, additions that need `--extend`, and everything else, which is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moonas.seeds import digest
from moonas.study.schema import StudyConfig

FREE = ("storage", "artifacts", "keep", "limits", "workers")
FIXED_AFTER_ALL = ("workers.threads_per_task",)  # changes the last digits
EXTENDABLE = ("budgets", "methods", "replicates", "trials")
LONGEST = 500  # characters of a value in a message


@dataclass(frozen=True)
class Change:
    """One difference. path: as in a study file. kind: "free", "addition" or "refused"."""

    path: str
    old: Any
    new: Any
    kind: str

    def __str__(self) -> str:
        return f"{self.path}: {_short(self.old)} -> {_short(self.new)}"


def _short(value: Any) -> str:
    """A value as it fits a message; a whole device table does not."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({digest(value, 8)})"


def scientific_hash(config: StudyConfig) -> str:
    """A hash over all settings that results depend on."""
    return hash_of(config.to_json())


def hash_of(config: Mapping[str, Any]) -> str:
    """The same of a configuration as it is stored, which may be an older moonas's."""
    return digest({path: value for path, value in _leaves(config) if not _is_free(path)}, 20)


def changes(old: StudyConfig, new: StudyConfig) -> list[Change]:
    """Every difference between two configurations of one study, field by field."""
    before, after = old.to_json(), new.to_json()
    found = []
    for key in EXTENDABLE:
        was, is_now = before.pop(key), after.pop(key)
        if getattr(old, key) != getattr(new, key):
            found.append(Change(key, was, is_now, "addition" if _only_adds(key, old, new) else "refused"))
    was_leaf, now_leaf = dict(_leaves(before)), dict(_leaves(after))
    for path in sorted(set(was_leaf) | set(now_leaf)):
        if was_leaf.get(path) != now_leaf.get(path):
            found.append(Change(path, was_leaf.get(path), now_leaf.get(path), "free" if _is_free(path) else "refused"))
    return found


def _only_adds(key: str, old: StudyConfig, new: StudyConfig) -> bool:
    """Whether nothing that was there is missing; another order counts as an addition, because it decides what comes next."""
    was, is_now = getattr(old, key), getattr(new, key)
    if key in ("replicates", "trials"):
        return was is not None and is_now is not None and is_now > was
    if key == "methods":
        return all(method in is_now for method in was)
    return set(was.levels) == set(is_now.levels) and all(set(was.levels[m]) <= set(is_now.levels[m]) for m in was.levels)


def _is_free(path: str) -> bool:
    return path.split(".")[0] in FREE and path not in FIXED_AFTER_ALL


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
