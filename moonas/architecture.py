"""Architecture: the discrete cells of a network, as plain hashable data.

One form serves every space: a cell group is a sorted tuple of (node, predecessor, operation). Sparse pairs (DARTS), dense lists
and edge tuples differ only in which triples a space allows.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from moonas.errors import ArchitectureError
from moonas.seeds import digest

Edge = tuple[int, int, str]
FORMAT = 1
_EDGE = re.compile(r"([A-Za-z]\w*)~(\d)")


@dataclass(frozen=True, init=False)
class Architecture:
    """The cells of a network: for each cell group its edges and the nodes that are concatenated.

    space: name of the space it belongs to, such as "darts-cnn".
    groups: {group: ((node, predecessor, operation), ...)}, sorted; nodes count from 0, cell inputs first.
    concat: {group: (node, ...)}, the nodes whose outputs are the cell's output.
    links: {group: ((input, input, operation), ...)}, what brings each input of the group's cells to their channels, where a space
    leaves that open (connection cells); else empty.

    Two architectures are equal when these are. Nothing about width, depth or data is in here: that is the skeleton's.
    """

    space: str
    groups: Mapping[str, tuple[Edge, ...]]
    concat: Mapping[str, tuple[int, ...]]
    links: Mapping[str, tuple[Edge, ...]]

    def __init__(
        self,
        space: str,
        groups: Mapping[str, Iterable[Edge]],
        concat: Mapping[str, Iterable[int]] | None = None,
        links: Mapping[str, Iterable[Edge]] | None = None,
    ) -> None:
        set_field = object.__setattr__
        set_field(self, "space", space)
        set_field(self, "groups", _sorted_edges(groups))
        set_field(self, "concat", MappingProxyType({name: tuple(sorted(nodes)) for name, nodes in sorted((concat or {}).items())}))
        set_field(self, "links", _sorted_edges(links or {}))

    def __hash__(self) -> int:
        return hash(self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        return Architecture.from_json, (self.to_json(),)

    @cached_property
    def key(self) -> str:
        """Identity: 16 hexadecimal digits of the SHA-256 of the canonical JSON."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, canonical: equal architectures give equal data."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "space": self.space,
            "groups": {name: [list(edge) for edge in edges] for name, edges in self.groups.items()},
            "concat": {name: list(nodes) for name, nodes in self.concat.items()},
        }
        if self.links:
            data["links"] = {name: [list(edge) for edge in edges] for name, edges in self.links.items()}
        return data

    @classmethod
    def from_json(cls, data: str | Mapping[str, Any]) -> Architecture:
        """Read what `to_json` wrote, as data or as text. Raises ArchitectureError."""
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except ValueError as error:
                raise ArchitectureError(f"architecture: not JSON ({error})") from error
        if not isinstance(data, Mapping):
            raise ArchitectureError(f"architecture: expected a mapping, got {type(data).__name__}")
        if unknown := sorted(set(data) - {"format", "space", "groups", "concat", "links"}):
            raise ArchitectureError(f"architecture: unknown keys {unknown}; known: concat, format, groups, links, space")
        if data.get("format", FORMAT) != FORMAT:
            raise ArchitectureError(f"architecture: format {data['format']!r} is not known to this version (it reads {FORMAT})")
        if not isinstance(data.get("space"), str):
            raise ArchitectureError("architecture: 'space' must name its search space")
        return cls(
            data["space"],
            _parse_edges("groups", data.get("groups")),
            {name: _parse_nodes(name, nodes) for name, nodes in _mapping("concat", data.get("concat", {})).items()},
            _parse_edges("links", data.get("links", {})),
        )

    @classmethod
    def from_genotype(cls, text: str, space: str = "darts-cnn") -> Architecture:
        """Read the community's `Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), ...)`.

        The text is parsed as data and never evaluated. Two pairs belong to each node, in node order.
        Text that begins with `|` is the form of NAS-Bench-201 and makes an architecture of that space, whatever `space` says:
        `|nor_conv_3x3~0|+|none~0|skip_connect~1|+...`, for each node from 1 on an edge from every node before, in order.
        Raises ArchitectureError.
        Sources: the forms that Liu et al. (ICLR 2019, arXiv:1806.09055) and Dong & Yang (ICLR 2020, arXiv:2001.00326) published.
        """
        if text.lstrip().startswith("|"):
            edges = _edges_of_text(text.strip())
            return cls("nas-bench-201", {"cell": edges}, {"cell": edges[-1][:1]})
        fields = _genotype_fields(text)
        groups, concat = {}, {}
        for name in sorted(name.removesuffix("_concat") for name in fields if name.endswith("_concat")):
            pairs = fields.get(name)
            if not isinstance(pairs, list) or len(pairs) % 2 or not all(map(_is_pair, pairs)):
                raise ArchitectureError(f"Genotype: {name} must be a list of ('operation', predecessor), two per node")
            groups[name] = [(2 + index // 2, predecessor, operation) for index, (operation, predecessor) in enumerate(pairs)]
            concat[name] = _parse_nodes(name + "_concat", fields[name + "_concat"])
        if stray := sorted(set(fields) - set(groups) - {name + "_concat" for name in groups}):
            raise ArchitectureError(f"Genotype: {', '.join(stray)} without its ..._concat")
        return cls(space, groups, concat)

    def to_genotype(self) -> str:
        """The community's text, in the form that `from_genotype` reads.

        Raises ArchitectureError where neither form can say it: `Genotype(...)` has the cells normal and reduce and two inputs a
        node, the form of NAS-Bench-201 one cell with an edge from every node to every later one.
        """
        if len(self.groups) == len(self.concat) == 1:
            (edges,), (output,) = self.groups.values(), self.concat.values()
            if len(output) == 1 and _is_dense(edges, output[0]):
                return _text_of_edges(edges)
        if set(self.groups) != {"normal", "reduce"} or self.links:
            what = "connection cells" if self.links else f"the cell groups {', '.join(self.groups)}"
            raise ArchitectureError(
                f"an architecture with {what} cannot be written as a Genotype, which has normal and reduce alone"
            )
        parts = []
        for name, edges in self.groups.items():
            nodes = [node for node, _, _ in edges]
            if any(nodes.count(node) != 2 for node in nodes) or sorted(set(nodes)) != list(range(2, 2 + len(nodes) // 2)):
                raise ArchitectureError(f"group {name!r} cannot be written as a Genotype: a node does not have two inputs")
            pairs = [(operation, predecessor) for _, predecessor, operation in edges]
            parts.append(f"{name}={pairs!r}, {name}_concat={list(self.concat[name])!r}")
        return f"Genotype({', '.join(parts)})"

    @classmethod
    def from_text(cls, text: str, space: str = "darts-cnn") -> Architecture:
        """Read what `to_text` wrote, or any of its two forms; `space` is that of a `Genotype(...)`. Raises ArchitectureError."""
        return cls.from_json(text) if text.lstrip().startswith("{") else cls.from_genotype(text, space)

    def to_text(self) -> str:
        """The community's text where there is one, else JSON."""
        try:
            return self.to_genotype()
        except ArchitectureError:
            return json.dumps(self.to_json())


def _sorted_edges(groups: Mapping[str, Iterable[Edge]]) -> Mapping[str, tuple[Edge, ...]]:
    return MappingProxyType({name: tuple(sorted((int(n), int(p), str(o)) for n, p, o in groups[name])) for name in sorted(groups)})


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ArchitectureError(f"architecture: {name!r} must be a mapping, got {type(value).__name__}")
    return value


def _parse_edges(name: str, value: Any) -> dict[str, list[Edge]]:
    parsed = {}
    for group, edges in _mapping(name, value).items():
        if not isinstance(edges, list | tuple) or not all(map(_is_edge, edges)):
            raise ArchitectureError(f"architecture: {name}.{group} must be a list of [node, predecessor, operation]")
        parsed[group] = [(node, predecessor, operation) for node, predecessor, operation in edges]
    return parsed


def _parse_nodes(name: str, value: Any) -> list[int]:
    if not isinstance(value, list | tuple) or not all(type(node) is int for node in value):
        raise ArchitectureError(f"{name}: expected a list of nodes, got {value!r}")
    return list(value)


def _is_edge(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and type(value[0]) is type(value[1]) is int
        and isinstance(value[2], str)
    )


def _is_pair(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int


def _edges_of_text(text: str) -> list[Edge]:
    edges = []
    for node, part in enumerate(text.split("+"), start=1):
        matches = [_EDGE.fullmatch(item) for item in part.strip("|").split("|")]
        read = [(node, int(match[2]), match[1]) for match in matches if match]
        if [predecessor for _, predecessor, _ in read] != list(range(node)) or part != _text_of_edges(read):
            wanted = "|".join(f"...~{predecessor}" for predecessor in range(node))
            raise ArchitectureError(f"node {node}: expected |{wanted}|, an edge from every node before in order, got {part!r}")
        edges += read
    return edges


def _is_dense(edges: Iterable[Edge], output: int) -> bool:
    """Whether one edge leads to each node from 1 to the output from every node before."""
    return [edge[:2] for edge in edges] == [(node, predecessor) for node in range(1, output + 1) for predecessor in range(node)]


def _text_of_edges(edges: Iterable[Edge]) -> str:
    nodes = groupby(edges, key=itemgetter(0))
    return "+".join("|" + "".join(f"{operation}~{predecessor}|" for _, predecessor, operation in group) for _, group in nodes)


def _genotype_fields(text: str) -> dict[str, Any]:
    """The keyword arguments of a `Genotype(...)` call: lists, tuples, strings, integers and `range(a, b)` only."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ArchitectureError(f"Genotype: not readable ({error})") from error
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Genotype" and not call.args):
        raise ArchitectureError("expected Genotype(normal=[...], normal_concat=[...], reduce=[...], reduce_concat=[...])")
    return {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int):
        return node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and not node.keywords:
        bounds = [_literal(argument) for argument in node.args]
        if 1 <= len(bounds) <= 2 and all(type(bound) is int and abs(bound) < 1000 for bound in bounds):
            return list(range(*bounds))
    raise ArchitectureError(f"Genotype: {ast.unparse(node)!r} is not a list, a name, a node or a range")
