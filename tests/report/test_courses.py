"""Figures of one trial, by hand."""

import numpy as np

from moonas.report.courses import course_figure, edge_figure, health_panels, learning_panels, mixture_figure
from moonas.spaces.mixture import GroupMixture
from moonas.spaces.space import CellGroup

GROUP = CellGroup(("skip_connect", "sep_conv_3x3"), ((0, 2), (1, 2)), 2, (2,), 2)
STEPS = [
    (1, {"train_loss": 2.0, "train_accuracy": 0.1, "entropy": 2.1, "expected_params": 9000.0, "decoded_params": 8000.0}),
    (2, {"train_loss": 1.0, "train_accuracy": 0.4, "valid_loss": 1.5, "valid_accuracy": 0.3, "entropy": None, "temperature": 3.0}),
]


def test_losses_and_accuracies_of_several_tasks_share_a_panel_and_are_told_apart():
    loss, accuracy = learning_panels({"a": STEPS, "b": [(1, {"train_loss": 5.0})]})
    assert [curve.name for curve in loss.curves] == ["a, train", "a, valid", "b, train"]
    assert [curve.strong for curve in loss.curves] == [False, True, False]
    assert [curve.colour for curve in loss.curves] == [0, 0, 1]
    assert (loss.curves[1].epochs, loss.curves[1].values) == ([2], [1.5])
    assert (accuracy.title, accuracy.share) == ("Accuracy", True)


def test_a_single_task_needs_no_name_and_one_that_reports_nothing_no_panel():
    assert [curve.name for curve in learning_panels({"search": STEPS})[0].curves] == ["train", "valid"]
    assert learning_panels({"search": [(1, {"reward": 1.0})]}) == []


def test_health_joins_expected_and_decoded_costs_and_keeps_what_a_method_adds():
    panels = health_panels(STEPS)
    assert [[curve.name for curve in panel.curves] for panel in panels] == [
        ["mean over edges"],
        ["expected", "decoded"],
        ["temperature"],
    ]
    assert panels[0].curves[0].values == [2.1, None]


def test_the_epoch_of_a_collapse_is_marked():
    figure = course_figure(health_panels(STEPS)[0], "light", collapse=2)
    assert [(line.x0, line.x1) for line in figure.layout.shapes] == [(2, 2)]
    assert figure.layout.annotations[0].text.strip() == "collapse"
    assert not course_figure(health_panels(STEPS)[0]).layout.shapes


def test_a_heat_map_has_a_row_for_each_operation_blank_where_it_was_dropped_and_marks_what_was_chosen():
    first = GroupMixture(np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([0.4, 0.6]))
    second = GroupMixture(np.array([[np.nan, 1.0], [0.1, 0.9]]), np.array([0.3, 0.7]))
    figure = mixture_figure(GROUP, [(1, first), (5, second)], [(2, 0, "sep_conv_3x3")], "dark")
    heat, marks = figure.data
    assert list(heat.x) == [1, 5]
    assert [list(row) for row in heat.z] == [[None, None], [0.5, None], [0.5, 1.0], [None, None], [0.2, 0.1], [0.8, 0.9]]
    assert list(marks.y) == [2]
    assert figure.layout.yaxis.ticktext[:3] == ("<b>c(k−2) → 0</b>", "skip", "<b>sep conv 3×3</b>")
    assert heat.text[2][0] == "c(k−2) → 0, sep conv 3×3, in this trial's network"
    assert (heat.zmin, heat.zmax) == (0.1, 1.0)
    edges = edge_figure(GROUP, [(1, first), (5, second)], [(2, 0, "sep_conv_3x3")])
    assert [list(row) for row in edges.data[0].z] == [[0.4, 0.3], [0.6, 0.7]]
    assert list(edges.data[1].y) == [0]


def test_what_users_named_is_shown_as_text():
    figure = course_figure(learning_panels({"<b>x</b>": STEPS, "y": STEPS})[0])
    assert figure.data[0].name == "&lt;b&gt;x&lt;/b&gt;, train"
