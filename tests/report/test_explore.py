"""The front as the dashboard explores it: thinning, escaping, scales; and figures about a whole study."""

from __future__ import annotations

import numpy as np
import pytest

from moonas.report.analysis import Bar, importance_figure, parallel_figure, timeline_figure
from moonas.report.crowd import CELLS, MOST, Crowd, thin
from moonas.report.explore import Marks, explore_figure, is_logarithmic
from moonas.report.records import ReportData
from moonas.report.versus import versus_figure

HOSTILE = "<b onmouseover=alert(1)>x</b>"


def test_few_points_are_all_drawn() -> None:
    columns = [np.zeros(40), np.zeros(40)]
    assert thin(columns, [False, False], np.array(["one"] * 40, dtype=object)).tolist() == list(range(40))


def test_thinning_leaves_a_point_of_the_same_group_near_every_one() -> None:
    draw = np.random.default_rng(0)
    points = draw.uniform(size=(20_000, 2))
    groups = np.array(["rare" if number % 1000 == 0 else "common" for number in range(len(points))], dtype=object)
    kept = thin([points[:, 0], points[:, 1]], [False, False], groups, most=800)
    assert len(kept) <= 800
    for group in ("rare", "common"):
        near = points[kept][groups[kept] == group]
        every = points[groups == group]
        apart = np.abs(every[:, None] - near[None]).max(axis=2).min(axis=1)
        assert apart.max() < 0.12  # cells of a grid of about 400 each: less than a twelfth of the axis wide
    assert thin([points[:, 0], points[:, 1]], [False, False], groups, most=800).tolist() == kept.tolist()


def test_thinning_starts_from_what_a_screen_tells_apart() -> None:
    values = np.repeat(np.linspace(0, 1, 50), 100)  # 5,000 points at 50 places
    kept = thin([values, values], [False, False], np.array(["one"] * len(values), dtype=object), most=2500)
    assert len(kept) == 50 < CELLS[0]


def test_thinning_on_a_logarithmic_axis_keeps_each_decade() -> None:
    values = np.tile(10.0 ** np.arange(6), 1000)
    kept = thin([values, np.zeros(len(values))], [True, False], np.array(["one"] * len(values), dtype=object), most=10)
    assert sorted(values[kept]) == [1, 10, 100, 1e3, 1e4, 1e5]


@pytest.mark.parametrize(
    ("asked", "values", "expected"),
    [
        ("auto", [1, 30], True),
        ("auto", [1, 10], False),
        ("log", [1, 2], True),
        ("linear", [1, 1000], False),
        ("log", [0, 5], False),
        ("log", [], False),
    ],
)
def test_scales_are_asked_for_or_follow_the_values(asked: str, values: list[float], expected: bool) -> None:
    assert is_logarithmic(asked, np.array(values, dtype=float)) is expected  # type: ignore[arg-type]


def test_names_in_figures_are_escaped(study: ReportData) -> None:
    escaped = "&lt;b onmouseover=alert(1)&gt;x&lt;/b&gt;"
    some = Marks(
        values={"params": np.ones(1), "accuracy": np.ones(1)}, groups=np.array([HOSTILE], dtype=object), ids=["a"], told=["a"]
    )
    others = Crowd(values=some.values, groups=some.groups, numbers=np.zeros(1, dtype=int))
    figures = {
        "explore": explore_figure(study, some, others, ("params", "accuracy")),
        "importance": importance_figure({HOSTILE: 1.0}),
        "parallel": parallel_figure({HOSTILE: np.arange(3.0), "b": np.array([HOSTILE] * 3, dtype=object)}, HOSTILE),
        "timeline": timeline_figure([Bar(HOSTILE, 0.0, 1.0, "COMPLETE", "fine")]),
        "versus": versus_figure({HOSTILE: study}, "params", "accuracy"),
    }
    for name, figure in figures.items():
        shown = {trace.name for trace in figure.data} | {note.text for note in figure.layout.annotations}
        shown |= {str(place) for trace in figure.data if trace.type == "bar" for place in trace.y}
        assert any(escaped in str(one) for one in shown), name
        shown |= {trace.hovertemplate for trace in figure.data}
        assert not any(HOSTILE in str(one) for one in shown), name


def test_a_large_crowd_is_drawn_by_webgl_and_the_front_before_it(study: ReportData) -> None:
    draw = np.random.default_rng(0)
    values = {"params": draw.integers(1, 10**8, MOST + 1).astype(float), "accuracy": draw.uniform(size=MOST + 1)}
    crowd = Crowd(values=values, groups=np.array(["darts"] * (MOST + 1), dtype=object), numbers=np.arange(MOST + 1))
    some = Marks(
        values={name: column[:1] for name, column in values.items()},
        groups=np.array(["darts"], dtype=object),
        ids=["a"],
        told=["a"],
    )
    behind, before = explore_figure(study, some, crowd, ("params", "accuracy")).data[-2:]
    assert (behind.type, before.type) == ("scattergl", "scatter")
    assert list(behind.customdata) == list(range(MOST + 1))
    assert behind.x.tolist() == values["params"].tolist()  # whole numbers exactly, in four bytes each
    assert np.abs(behind.y - values["accuracy"]).max() < 1e-7
    assert (behind.x.itemsize, behind.y.itemsize) == (4, 4)
    few = explore_figure(study, some, crowd.take(np.arange(MOST)), ("params", "accuracy"))
    assert {trace.type for trace in few.data} == {"scatter"}


def test_parallel_lines_go_from_the_lowest_to_the_highest_value() -> None:
    figure = parallel_figure({"a": np.array([1.0, 3.0]), "b": np.array(["x", "y"], dtype=object)}, "a")
    lines = [np.asarray(trace.y, dtype=float)[:2].tolist() for trace in figure.data]
    assert sorted(lines) == [[0.0, 0.0], [1.0, 1.0]]
    assert {"1", "2", "3", "x", "y"} <= {note.text for note in figure.layout.annotations}


def test_the_timeline_draws_an_attempt_as_long_as_it_took() -> None:
    figure = timeline_figure([Bar("w", 10.0, 12.5, "COMPLETE", ""), Bar("w", 13.0, 14.0, "FAIL", "")])
    assert [(trace.name, trace.base[0], trace.x[0]) for trace in figure.data] == [
        ("complete", 10_000, 2_500),
        ("fail", 13_000, 1_000),
    ]
