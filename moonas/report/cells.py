"""Cells drawn as inline SVG: a directed graph from left to right, each edge labelled with its operation.

Colours come from CSS variables and `currentColor`, so that a drawing follows the page into dark mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from math import ceil

from moonas.architecture import Edge
from moonas.report.layout import Column, Item, arrange, join
from moonas.report.theme import NEUTRAL, PALETTE

FAMILIES = {
    "separable convolution": ("sep_conv", PALETTE[0]),
    "dilated convolution": ("dil_conv", PALETTE[3]),
    "convolution": ("conv", PALETTE[5]),
    "pooling": ("pool", PALETTE[2]),
    "skip": ("skip", PALETTE[1]),
    "other": ("", PALETTE[4]),
}  # the first whose mark stands in an operation's name
CHARACTER = 7.2  # pixels: a generous mean width at 12 px, so that no label outgrows its box in any of the fonts
LABEL_HEIGHT, NODE_HEIGHT, MARGIN, ARROW = 21.0, 28.0, 6.0, 6.0


def family(operation: str) -> str:
    """The family of operations, which settles the colour."""
    return next(name for name, (mark, _) in FAMILIES.items() if mark in operation)


def draw_cell(edges: Sequence[Edge], concat: Sequence[int], inputs: int = 2, title: str = "cell") -> str:
    """One cell as an SVG element, drawn at its natural size in pixels.

    edges: (node, predecessor, operation); nodes count from 0, the cell's `inputs` first. concat: the nodes that make its output;
    an empty one draws no output node. title: what a screen reader says, together with the edges.
    """
    nodes, labels, lines = _lay_out(edges, concat, inputs)
    columns = arrange([item for _, item in nodes] + [item for line in lines for item in line[1:-1]])
    top = min(item.y - item.height / 2 for column in columns for item in column.items) - MARGIN
    bottom = max(item.y + item.height / 2 for column in columns for item in column.items) + MARGIN
    parts = [_line(line, columns, label) for line, (label, _) in zip(lines, labels, strict=True)]
    parts += [_label(item, text) for text, item in labels if item]
    parts += [_node(item, text) for text, item in nodes]
    width, height = ceil(columns[-1].right + 2 * MARGIN), ceil(bottom - top)
    told = ", ".join(f"{node_name(p, inputs)} to {node - inputs}: {operation}" for node, p, operation in edges)
    return (
        f'<svg class="cell" role="img" width="{width}" height="{height}" '
        f'viewBox="{-MARGIN:.1f} {top:.1f} {width} {height}" font-size="12" aria-label="{escape(f"{title}: {told}")}">'
        + "".join(parts)
        + "</svg>"
    )


def families(operations: Iterable[str]) -> list[tuple[str, str]]:
    """(name, colour) of each family that occurs."""
    present = {family(operation) for operation in operations}
    return [(name, colour) for name, (_, colour) in FAMILIES.items() if name in present]


def legend(operations: Iterable[str]) -> str:
    """The families that occur, each with its colour, as an HTML list."""
    rows = (
        f'<li><svg width="22" height="10" aria-hidden="true"><path d="M1 5H21" stroke="{colour}" stroke-width="3"/></svg>'
        f"{name}</li>"
        for name, colour in families(operations)
    )
    return f'<ul class="legend">{"".join(rows)}</ul>'


def operation_text(operation: str) -> str:
    """`sep_conv_3x3` as `sep conv 3×3`; `skip_connect` as `skip`."""
    words = operation.removesuffix("_connect").split("_")
    return " ".join(word.replace("x", "×") if word.replace("x", "").isdigit() else word for word in words)


Named = tuple[str, Item]


def _lay_out(
    edges: Sequence[Edge], concat: Sequence[int], inputs: int
) -> tuple[list[Named], list[tuple[str, Item | None]], list[list[Item]]]:
    """Nodes with their names, a label per line (empty for lines to the output), and lines as chains of items, ends included.

    Nodes stand in even columns, by the longest way from the inputs; the odd column before a node holds the labels of its edges.
    """
    depth = dict.fromkeys(range(inputs), 0)
    for node in sorted({node for node, _, _ in edges} | set(concat) | {p for _, p, _ in edges}):
        if node >= inputs:
            depth[node] = 1 + max((depth[p] for n, p, _ in edges if n == node), default=0)
    boxes = {node: _node_item(node_name(node, inputs), column) for node, column in depth.items()}
    nodes = [(node_name(node, inputs), box) for node, box in boxes.items()]
    labels: list[tuple[str, Item | None]] = []
    lines: list[list[Item]] = []
    for node, predecessor, operation in edges:
        text = operation_text(operation)
        label = Item(2 * depth[node] - 1, CHARACTER * len(text) + 16, LABEL_HEIGHT)
        labels.append((operation, label))
        lines.append(_chain(boxes[predecessor], [label], boxes[node]))
    if concat:
        output = _node_item("output", 1 + max(depth.values()))
        nodes.append(("output", output))
        lines += [_chain(boxes[node], [], output) for node in concat]
        labels += [("", None)] * len(concat)
    return nodes, labels, lines


def node_name(node: int, inputs: int) -> str:
    """Inputs of a two-input cell as DARTS calls them; intermediate nodes count from 0."""
    if node >= inputs:
        return str(node - inputs)
    return f"c(k−{inputs - node})" if inputs > 1 else "input"


def _node_item(name: str, depth: int) -> Item:
    return Item(2 * depth, max(CHARACTER * len(name) + 12, NODE_HEIGHT), NODE_HEIGHT)


def _chain(start: Item, before_end: list[Item], end: Item) -> list[Item]:
    """The line from `start` to `end`: a passing item in every column between that `before_end` does not fill."""
    passing = [Item(column) for column in range(start.column + 1, end.column - len(before_end))]
    line = [start, *passing, *before_end, end]
    for first, second in pairwise(line):
        join(first, second)
    return line


def _line(line: Sequence[Item], columns: Sequence[Column], operation: str) -> str:
    """A path that runs level inside columns and bends between them, with an arrowhead where it enters its last node."""
    x, y = line[0].x + line[0].width / 2, line[0].y
    path = [f"M{x:.1f} {y:.1f}"]
    for item in line[1:]:
        start, end = columns[item.column - 1].right, columns[item.column].left
        middle = (start + end) / 2
        path.append(f"H{start:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {item.y:.1f} {end:.1f} {item.y:.1f}")
        y = item.y
    tip = line[-1].x - line[-1].width / 2
    path.append(f"H{tip:.1f}m{-ARROW:.1f} {-ARROW / 2 - 1:.1f}l{ARROW:.1f} {ARROW / 2 + 1:.1f}l{-ARROW:.1f} {ARROW / 2 + 1:.1f}")
    look = f'stroke="{FAMILIES[family(operation)][1]}" stroke-width="2"' if operation else f'stroke="{NEUTRAL}" stroke-width="1.2"'
    return f'<path d="{"".join(path)}" fill="none" {look} stroke-linejoin="round"/>'


def _label(item: Item, operation: str) -> str:
    """The operation on a pill of the page's own colour, which keeps the line out of the text."""
    return _box("label", item, LABEL_HEIGHT / 2, FAMILIES[family(operation)][1], operation_text(operation), "")


def _node(item: Item, name: str) -> str:
    return _box("node", item, 7, "currentColor", name, ' font-weight="600"')


def _box(kind: str, item: Item, radius: float, stroke: str, text: str, style: str) -> str:
    left, top = item.x - item.width / 2, item.y - item.height / 2
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{item.width:.1f}" height="{item.height:.1f}" rx="{radius:.1f}" '
        f'stroke="{stroke}" stroke-width="1.4" style="fill:var(--surface,#fff)"/>'
        f'<text x="{item.x:.1f}" y="{item.y:.1f}" dy=".35em" text-anchor="middle" fill="currentColor"{style}>{escape(text)}</text>'
    )
