from dataclasses import replace

import pytest

from moonas.architecture import Architecture
from moonas.report.figures import budget_figure, budget_metrics, front_axes, front_figure, hypervolume_figure
from moonas.report.records import Band, BudgetInfo, ObjectiveInfo, Point, ReportData, TrialInfo, Value
from moonas.skeleton import Skeleton

ACCURACY = ObjectiveInfo(name="accuracy", label="accuracy", direction="maximize")
PARAMS = ObjectiveInfo(name="params", label="parameters", direction="minimize")
LATENCY = ObjectiveInfo(name="latency_ms", label="latency", direction="minimize", unit="ms")
HOSTILE = '<script>alert("1")</script>&amp;'


def network(trial: int, on_front: bool, method: str = "darts", **metrics: float) -> Point:
    cell = [(2, 0, "skip_connect"), (2, 1, "skip_connect")]
    architecture = Architecture("darts-cnn", {"normal": cell, "reduce": cell}, {"normal": (2,), "reduce": (2,)})
    return Point(
        key=f"key-{trial}",
        architecture=architecture,
        skeleton=Skeleton(channels=4 + trial, cells=5, input_shape=(1, 8, 8), classes=10),
        on_front=on_front,
        trial=trial,
        method=method,
        budget={"params": {"upper": 30_000}},
        metrics={name: Value(value=value) for name, value in metrics.items()},
    )


def made_of(*points: Point, objectives=(ACCURACY, PARAMS), **fields) -> ReportData:
    return ReportData(
        name="s", state="RUNNING", created=0, version="0", versions={}, settings={}, objectives=objectives, points=points, **fields
    )


def trace(figure, name: str):
    (found,) = [trace for trace in figure.data if trace.name == name]
    return found


POINTS = (
    network(0, True, params=10_000, accuracy=0.90, test_accuracy=0.111),
    network(1, True, "random", params=40_000, accuracy=0.98, test_accuracy=0.222),
    network(2, True, params=20_000, accuracy=0.95, test_accuracy=0.333),
    network(3, False, params=30_000, accuracy=0.94, test_accuracy=0.444),
)


def test_the_step_line_joins_the_front_from_the_cheapest_member():
    line = trace(front_figure(made_of(*POINTS), "params", "accuracy"), "front")
    assert (line.x, line.y, line.line.shape) == ((10_000, 20_000, 40_000), (0.90, 0.95, 0.98), "hv")


def test_the_step_line_leaves_out_members_dominated_in_the_two_metrics_shown():
    slow = [replace(point, metrics={**point.metrics, "latency_ms": Value(value=9 - i)}) for i, point in enumerate(POINTS)]
    data = made_of(*slow, network(4, True, params=45_000, accuracy=0.91, latency_ms=1.0), objectives=(ACCURACY, PARAMS, LATENCY))
    assert trace(front_figure(data, "params", "accuracy"), "front").x == (10_000, 20_000, 40_000)
    assert trace(front_figure(data, "latency_ms", "accuracy"), "front").x == (1.0, 7, 8)


def test_a_step_line_over_a_maximised_metric_starts_at_its_largest_value():
    data = made_of(*POINTS, objectives=(PARAMS, ACCURACY))
    line = trace(front_figure(data, "accuracy", "params"), "front")
    assert (line.x, line.y) == ((0.98, 0.95, 0.90), (40_000, 20_000, 10_000))


def test_members_stand_apart_from_the_rest_by_method():
    figure = front_figure(made_of(*POINTS), "params", "accuracy")
    assert (trace(figure, "darts").x, trace(figure, "random").x) == ((10_000, 20_000), (40_000,))
    assert trace(figure, "darts, off the front").x == (30_000,)
    assert trace(figure, "darts").marker.size > trace(figure, "darts, off the front").marker.size
    assert trace(figure, "darts").marker.symbol != trace(figure, "random").marker.symbol


def test_a_marker_names_the_network_and_then_its_trial():
    figure = front_figure(made_of(*POINTS), "params", "accuracy")
    assert tuple(trace(figure, "random").customdata[0]) == (POINTS[1].id, "trial-1")


def test_a_hover_tells_key_method_trial_budget_width_and_metrics():
    (told,) = trace(front_figure(made_of(*POINTS), "params", "accuracy"), "random").hovertext
    for part in ("key-1", "random, trial 1", "params ≤ 30k", "5 channels, 5 cells", "98.00", "40,000", "22.20"):
        assert part in told


def test_test_accuracy_is_told_for_front_members_only():
    figure = front_figure(made_of(*POINTS), "params", "accuracy")
    assert "test accuracy" in trace(figure, "darts").hovertext[0]
    assert "test accuracy" not in trace(figure, "darts, off the front").hovertext[0]


def test_names_cannot_become_markup_in_a_figure():
    points = [replace(point, method=HOSTILE, key=HOSTILE) for point in POINTS]
    data = made_of(*points, objectives=(ACCURACY, replace(PARAMS, label=HOSTILE)))
    figure = front_figure(data, "params", "accuracy").to_plotly_json()
    assert str(figure).count('&lt;script&gt;alert("1")&lt;/script&gt;&amp;amp;') == 15  # 4 hovers of 3; 2 in the legend; 1 axis
    assert "<script" not in str(figure)


def test_budgets_are_dashed_lines_with_labels_once_per_place():
    budgets = [
        BudgetInfo(text="a", metric="params", upper=15_000),
        BudgetInfo(text="b", metric="params", lower=5_000, upper=35_000),
    ]
    data = made_of(*POINTS, budgets=(*budgets, budgets[0], BudgetInfo(text="c", metric="macs", upper=1)))
    figure = front_figure(data, "params", "accuracy")
    assert [(shape.x0, shape.line.dash) for shape in figure.layout.shapes] == [(5_000, "dash"), (15_000, "dash"), (35_000, "dash")]
    assert [note.text for note in figure.layout.annotations] == ["≥ 5k", "≤ 15k", "≤ 35k"]


def test_labels_of_near_budgets_stand_in_rows_above_each_other():
    budgets = tuple(BudgetInfo(text="", metric="params", upper=upper) for upper in (20_000, 21_000, 40_000))
    heights = [note.yshift for note in front_figure(made_of(*POINTS, budgets=budgets), "params", "accuracy").layout.annotations]
    assert heights[0] == heights[2] < heights[1]


@pytest.mark.parametrize(("largest", "kind"), [(40_000, None), (2_000_000, "log")])
def test_a_wide_span_gets_a_logarithmic_axis(largest, kind):
    points = (*POINTS, network(5, True, params=largest, accuracy=0.99))
    budgets = (BudgetInfo(text="", metric="params", upper=100_000),)
    figure = front_figure(made_of(*points, budgets=budgets), "params", "accuracy")
    assert figure.layout.xaxis.type == kind
    assert figure.layout.annotations[0].x == (5 if kind else 100_000)  # Plotly takes log10 of a place on a logarithmic axis


def test_values_that_are_missing_or_not_finite_are_left_out():
    odd = (network(4, False, "random", accuracy=0.5), network(5, False, "random", params=float("inf"), accuracy=0.5))
    figure = front_figure(made_of(*POINTS, *odd), "params", "accuracy")
    assert "random, off the front" not in [trace.name for trace in figure.data]


def test_the_main_objective_is_drawn_over_every_other():
    assert front_axes(made_of(objectives=(PARAMS, ACCURACY, LATENCY))) == [("params", "accuracy"), ("latency_ms", "accuracy")]


def test_a_single_objective_is_drawn_over_a_known_cost():
    assert front_axes(made_of(*POINTS, objectives=(ACCURACY,))) == [("params", "accuracy")]


def test_hypervolume_is_drawn_over_evaluations_with_its_causes(study):
    (line,) = hypervolume_figure(study).data
    assert (line.x[:3], line.y[:3]) == ((2, 4, 6), (0.61, 0.74, 0.79))
    assert line.hovertext[0] == "<b>0.6100</b> after 2 evaluations<br>trial 0<br>device time 31 s"


def test_few_evaluations_are_told_in_whole_numbers(study):
    first = replace(study, history=study.history[:2])  # after 2 and 4 evaluations, where Plotly would write 0 1 1 2 2 3 3
    assert hypervolume_figure(first).layout.xaxis.dtick == 1
    assert hypervolume_figure(study).layout.xaxis.dtick is None


def test_requested_cost_stands_against_achieved_cost_by_method():
    budget = {"params": {"upper": 40_000}}
    trials = (
        TrialInfo(number=0, state="COMPLETE", method="darts", budget=budget, values={"params": 30_000}),
        TrialInfo(number=1, state="COMPLETE", method="random", budget={"params": {"upper": 20_000}}, values={"params": 19_000}),
        TrialInfo(number=2, state="FAIL", method="darts", budget=budget),
        TrialInfo(number=3, state="COMPLETE", method="darts", budget=None, values={"params": 50_000}),
        TrialInfo(number=4, state="COMPLETE", method="darts", budget={"macs": {"lower": 5}}, values={"macs": 9}),
    )
    data = made_of(trials=trials)
    assert budget_metrics(data) == ["params"]
    figure = budget_figure(data, "params")
    assert (trace(figure, "darts").x, trace(figure, "darts").y) == ((40_000,), (30_000,))
    assert "75.0% of the budget" in trace(figure, "darts").hovertext[0]
    assert trace(figure, "random").customdata[0][0] == "trial-1"
    diagonal = trace(figure, "budget used up")
    assert diagonal.x == diagonal.y
    assert diagonal.x[0] < 20_000 < 40_000 < diagonal.x[1]


BAND = Band(
    replicates=3,
    easy=((10_000.0, 0.92), (30_000.0, 0.98)),
    median=((10_000.0, 0.90), (30_000.0, 0.96)),
    hard=((20_000.0, 0.90), (40_000.0, 0.95)),
    better=(min, max),
)


def test_the_band_of_replicates_lies_between_its_surfaces_by_hand():
    figure = front_figure(made_of(*POINTS, bands={("params", "accuracy"): BAND}), "params", "accuracy")
    outline, median = (trace for trace in figure.data if trace.legendgroup == "replicates")
    # Both surfaces from the worst accuracy up, over each corner, to the largest size, 40,000; the harder one backwards.
    easy = [(10_000, 0.90), (10_000, 0.92), (30_000, 0.92), (30_000, 0.98), (40_000, 0.98)]
    hard = [(40_000, 0.95), (40_000, 0.95), (40_000, 0.90), (20_000, 0.90), (20_000, 0.90)]
    assert list(zip(outline.x, outline.y, strict=True)) == easy + hard
    assert outline.fill == "toself"
    assert list(zip(median.x, median.y, strict=True)) == [
        (10_000, 0.90), (10_000, 0.90), (30_000, 0.90), (30_000, 0.96), (40_000, 0.96)
    ]  # fmt: skip
    assert median.name == "half of 3 replicates"


def test_the_band_of_a_maximised_x_runs_from_its_largest_value():
    turned = Band(
        replicates=2, easy=((0.9, 5.0), (0.8, 3.0)), median=((0.9, 5.0), (0.8, 3.0)), hard=((0.7, 4.0),), better=(max, min)
    )
    outline, _ = front_figure(made_of(*POINTS, bands={("accuracy", "params"): turned}), "accuracy", "params").data[:2]
    stairs = [(0.9, 5), (0.9, 5), (0.8, 5), (0.8, 3), (0.7, 3)]
    assert list(zip(outline.x, outline.y, strict=True)) == [*stairs, (0.7, 4), (0.7, 4), (0.7, 5)]


def test_the_knee_has_a_ring_and_a_report_without_replicates_no_band():
    figure = front_figure(made_of(*POINTS, knee=POINTS[2].id), "params", "accuracy")
    assert (trace(figure, "knee").x, trace(figure, "knee").y) == ((20_000,), (0.95,))
    assert not [trace for trace in figure.data if trace.legendgroup == "replicates"]
