"""Registries of named entries: methods, spaces, data sets, operations, metrics, samplers.

An entry holds settings and facts that need no torch; its `load` names the code, `"package.module:attribute"`, which is imported
only where it runs. Installed packages add entries through the entry-point group `moonas.plugins`: an entry point named
`<kind>.<name>`, such as `data.chairs`, that points at an entry object.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from moonas.errors import UnknownNameError, UsageError, nearest

PLUGIN_GROUP = "moonas.plugins"
Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A table of entries by name, written out in one place and extended by installed packages.

    kind: the word for one entry in messages, such as "search method".
    prefix: what entry points of this registry begin with, such as "method".
    """

    def __init__(self, kind: str, prefix: str, entries: Mapping[str, Entry]) -> None:
        self.kind = kind
        self.prefix = prefix
        self._entries = dict(entries)
        self._plugins: dict[str, EntryPoint] | None = None

    def __getitem__(self, name: str) -> Entry:
        """The entry called `name`. Raises UnknownNameError with the nearest known name, UsageError where its plugin is broken."""
        if name not in self._entries:
            plugin = self._found_plugins().get(name)
            if plugin is None:
                raise UnknownNameError(self.unknown(name))
            try:
                self._entries[name] = plugin.load()
            except Exception as error:  # an installed package may fail in any way
                raise UsageError(f"the {self.kind} {name!r} cannot be loaded from the plugin {plugin.value!r}: {error}") from error
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries or name in self._found_plugins()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._entries, *self._found_plugins()}))

    def __len__(self) -> int:
        return len({*self._entries, *self._found_plugins()})

    def declare(self, name: str, entry: Entry) -> None:
        """Add an entry that no package publishes, for as long as the process lives."""
        self._entries[name] = entry

    def unknown(self, name: object) -> str:
        """The message for a name this registry does not have."""
        article = "an" if self.kind[0] in "aeiou" else "a"
        return f"{name!r} is not {article} {self.kind}{nearest(name, self)}\nKnown: {', '.join(self)}."

    def _found_plugins(self) -> dict[str, EntryPoint]:
        if self._plugins is None:
            start = self.prefix + "."
            points = entry_points(group=PLUGIN_GROUP)
            self._plugins = {p.name.removeprefix(start): p for p in points if p.name.startswith(start)}
        return self._plugins


def load_object(path: str) -> Any:
    """Import what `"package.module:attribute"` names."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
