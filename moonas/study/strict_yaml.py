"""Safe YAML, stricter and plainer than YAML 1.1: no key twice, nothing that explodes, and dates stay text."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

MOST_VALUES = 100_000  # of one file, what an alias stands for counted each time: our own choice, far beyond any study


class StrictLoader(yaml.SafeLoader):
    """Anchors, aliases and merge keys work; a key given twice, of which YAML takes the last, is refused.

    So are an alias within what it stands for and a text whose aliases stand for more than `MOST_VALUES` values.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> Any:
        is_alias = self.check_event(yaml.AliasEvent)
        node: Any = super().compose_node(parent, index)
        if is_alias and node not in self._sizes:
            raise ComposerError(None, None, "an alias stands within what it stands for", node.start_mark)
        if not is_alias:
            self._sizes[node] = 1 + sum(self._sizes[part] for part in _parts(node))
        if self._sizes[node] > MOST_VALUES:
            raise ComposerError(None, None, f"more than {MOST_VALUES:,} values", node.start_mark)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]:
            if (key.tag, key.value) in seen:
                raise ComposerError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
            seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError) as error:  # PyYAML's own, from text that does not fit its tag
            message = f"{node.value!r} cannot be read as {node.tag.rpartition(':')[2]}"
            raise ConstructorError(None, None, message, node.start_mark) from error


StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _parts(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
