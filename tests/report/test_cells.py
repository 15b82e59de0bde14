import random
import re
from collections import Counter
from itertools import combinations
from xml.etree import ElementTree

import pytest

from moonas.report.cells import draw_cell, family, legend, operation_text
from moonas.report.layout import Item, crossings, join

# Advance widths of DejaVu Sans, one of the widest fonts a page may fall back to, in 1/2048 of the font's size.
WIDTHS = {c: w for w, letters in {
    1255: "a", 1300: "bdgpq", 1126: "c", 1260: "e", 721: "f", 1298: "hnu", 569: "ijl", 1186: "k", 1995: "m", 1253: "o", 842: "r",
    1067: "s", 803: "t", 1212: "vxy", 1675: "w", 1075: "z", 651: " ", 1303: "0123456789", 1716: "×−", 799: "()",
}.items() for c in letters}  # fmt: skip


class Drawing:
    """What an SVG shows. boxes: (kind, text, left, top, right, bottom); lines: (labelled, points along the path)."""

    def __init__(self, svg: str) -> None:
        self.root = ElementTree.fromstring(svg)
        names = [element.text for element in self.root.findall("text")]
        self.boxes = []
        for rect, name in zip(self.root.findall("rect"), names, strict=True):
            x, y, width, height = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
            self.boxes.append((rect.get("class"), name, x, y, x + width, y + height))
        self.lines = [(path.get("stroke-width") == "2", follow(path.get("d"))) for path in self.root.findall("path")]

    def texts(self, kind: str) -> Counter:
        return Counter(name for of, name, *_ in self.boxes if of == kind)


def follow(path: str) -> list[tuple[float, float]]:
    """Points along the M, H and C commands of a path, up to its arrowhead."""
    points: list[tuple[float, float]] = []
    for command, numbers in re.findall(r"([MHCm])([^A-Za-z]*)", path):
        values = [float(value) for value in numbers.split()]
        if command == "M":
            points.append((values[0], values[1]))
        elif command == "H":
            x, y = points[-1]
            points += [(x + (values[0] - x) * step / 20, y) for step in range(1, 21)]
        elif command == "C":
            start, ends = points[-1], list(zip(values[::2], values[1::2], strict=True))
            for t in (step / 20 for step in range(1, 21)):
                weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
                corners = (start, *ends)
                points.append(tuple(sum(w * c[axis] for w, c in zip(weights, corners, strict=True)) for axis in (0, 1)))
        else:
            break
    return points


CASES = [(seed, 1 + seed % 8, 1 + seed % 5) for seed in range(120)]


@pytest.fixture(scope="module")
def drawings(random_cell) -> list[Drawing]:
    """Cells of 1 to 8 nodes with up to 1 to 5 inputs each; every node is concatenated."""
    return [Drawing(draw_cell(random_cell(random.Random(s), nodes, most), range(2, 2 + nodes))) for s, nodes, most in CASES]


def test_no_two_boxes_of_a_drawing_come_nearer_than_five_pixels(drawings):
    for drawing in drawings:
        for (_, _, left, top, right, bottom), (_, _, other_left, other_top, other_right, other_bottom) in combinations(
            drawing.boxes, 2
        ):
            beside = max(left, other_left) - min(right, other_right) >= 5
            above = max(top, other_top) - min(bottom, other_bottom) >= 5
            assert beside or above


def test_lines_pass_through_their_own_label_and_no_other_box(drawings):
    for drawing in drawings:
        for labelled, points in drawing.lines:
            met = [
                kind
                for kind, _, left, top, right, bottom in drawing.boxes
                if any(left + 0.2 < x < right - 0.2 and top + 0.2 < y < bottom - 0.2 for x, y in points)
            ]
            assert met == ["label"] * labelled


def test_every_line_starts_and_ends_at_the_side_of_a_node(drawings):
    for drawing in drawings:
        nodes = [box[2:] for box in drawing.boxes if box[0] == "node"]
        for _, points in drawing.lines:
            (x, y), (end_x, end_y) = points[0], points[-1]
            assert any(abs(right - x) < 0.2 and top < y < bottom for _, top, right, bottom in nodes)
            assert any(abs(left - end_x) < 0.2 and top < end_y < bottom for left, top, _, bottom in nodes)


def test_everything_lies_within_the_drawing(drawings):
    for drawing in drawings:
        left, top, width, height = map(float, drawing.root.get("viewBox").split())
        assert (drawing.root.get("width"), drawing.root.get("height")) == (f"{width:.0f}", f"{height:.0f}")
        corners = [point for _, points in drawing.lines for point in points] + [
            corner for _, _, x, y, right, bottom in drawing.boxes for corner in ((x, y), (right, bottom))
        ]
        assert all(left <= x <= left + width and top <= y <= top + height for x, y in corners)


def test_labels_fit_their_boxes_in_a_wide_font(drawings):
    for drawing in drawings:
        for _, name, left, _, right, _ in drawing.boxes:
            assert sum(WIDTHS[c] for c in name) * 12 / 2048 * 1.15 < right - left  # bold letters are up to 15 % wider


def test_each_node_edge_and_concatenation_is_drawn_once(drawings, random_cell):
    for drawing, (seed, nodes, most) in zip(drawings, CASES, strict=True):
        cell = random_cell(random.Random(seed), nodes, most)
        assert drawing.texts("node") == Counter(["c(k−2)", "c(k−1)", "output", *map(str, range(nodes))])
        assert drawing.texts("label") == Counter(operation_text(operation) for _, _, operation in cell)
        assert len(drawing.lines) == len(cell) + nodes


def test_nodes_stand_right_of_their_predecessors():
    drawing = Drawing(draw_cell([(2, 0, "skip_connect"), (3, 2, "skip_connect"), (4, 1, "skip_connect")], (3, 4)))
    left = {name: box[0] for kind, name, *box in drawing.boxes if kind == "node"}
    assert left["c(k−2)"] < left["0"] == left["2"] < left["1"] < left["output"]


def test_a_cell_without_concatenation_has_no_output_node():
    drawing = Drawing(draw_cell([(1, 0, "nor_conv_3x3"), (2, 0, "none"), (2, 1, "avg_pool_3x3")], (), inputs=1))
    assert drawing.texts("node") == Counter(["input", "0", "1"])


def test_operations_are_named_for_readers():
    assert operation_text("sep_conv_3x3") == "sep conv 3×3"
    assert operation_text("skip_connect") == "skip"
    assert operation_text("max_pool_3x3") == "max pool 3×3"


def test_operations_of_one_family_share_a_colour():
    named = {"sep_conv_5x5": "separable convolution", "dil_conv_3x3": "dilated convolution", "nor_conv_1x1": "convolution"}
    named |= {"avg_pool_3x3": "pooling", "skip_connect": "skip", "none": "other"}
    assert {operation: family(operation) for operation in named} == named


def test_the_legend_lists_the_families_that_occur():
    rows = ElementTree.fromstring(legend(["max_pool_3x3", "avg_pool_3x3", "sep_conv_3x3"])).findall("li")
    assert ["".join(row.itertext()) for row in rows] == ["separable convolution", "pooling"]


def test_a_screen_reader_is_told_the_title_and_every_edge():
    root = Drawing(draw_cell([(2, 0, "skip_connect"), (2, 1, 'sep"<3x3')], (2,), title="normal <cell>")).root
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'normal <cell>: c(k−2) to 0: skip_connect, c(k−1) to 0: sep"<3x3'


@pytest.mark.parametrize(("size", "count"), [(2, 1), (3, 9), (4, 36)])
def test_crossings_of_a_complete_bipartite_drawing_are_its_pairs_of_pairs(size, count):
    left, right = [Item(0) for _ in range(size)], [Item(1) for _ in range(size)]
    for one in left:
        for other in right:
            join(one, other)
    assert crossings([left, right]) == count


def test_two_lines_that_need_not_cross_do_not():
    """Node 0 takes from c(k-1), node 1 from c(k-2): in the order of their numbers the lines would cross."""
    drawing = Drawing(draw_cell([(2, 1, "skip_connect"), (3, 0, "skip_connect")], ()))
    top = {name: box[1] for kind, name, *box in drawing.boxes if kind == "node"}
    assert (top["c(k−1)"] < top["c(k−2)"]) == (top["0"] < top["1"])
