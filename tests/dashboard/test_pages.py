"""Pages and views as functions: what they say of a study that is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

from moonas.architecture import Architecture
from moonas.dashboard import colouring
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.pages import PAGES, architecture, compare, pick, studies, study
from moonas.dashboard.shell import _routes, find_page, frame
from moonas.dashboard.views import VIEWS, budgets, events, front, methods, parameters, volume, workers
from moonas.errors import UnknownStudyError, UsageError
from moonas.front.dominance import non_dominated
from moonas.race import race
from moonas.report.explore import Marks
from moonas.store.store import Store
from moonas.study.bounds import Bound
from tests.outer.fakes import FakePool, drive, small_study

AXES = ["params", "accuracy"]


def parts(component: Any) -> list[Any]:
    """A component and all below it, texts too."""
    if isinstance(component, list | tuple):
        return [part for one in component for part in parts(one)]
    below = getattr(component, "children", None)
    return [component, *(parts(below) if below is not None else [])]


def texts(component: Any) -> str:
    return " ".join(str(part) for part in parts(component) if isinstance(part, str | int | float))


def named(component: Any, part: Any) -> Any:
    return next(one for one in parts(component) if getattr(one, "id", None) == part)


def marks(figure: Any) -> dict[str, tuple[float, float]]:
    """(x, y) of every marker that a click names, by its id."""
    found = {}
    for trace in figure.data:
        for place, named in enumerate(trace.customdata if trace.customdata is not None else ()):
            click = {"points": [{"customdata": named if isinstance(named, list) else int(named)}]}
            found[front.clicked(click)] = (float(trace.x[place]), float(trace.y[place]))
    return found


@pytest.mark.parametrize("address", ["/", "/studies/small", "/studies/waiting", "/studies/small/pick", "/compare", "/nope"])
def test_every_address_has_a_page_with_a_trail(catalogue: Catalogue, address: str) -> None:
    page = find_page(catalogue, _routes(), address, "")
    assert "Studies" in texts(frame(page)[0])
    assert page.content


def test_an_address_of_an_unknown_study_says_so(catalogue: Catalogue) -> None:
    with pytest.raises(UnknownStudyError):
        find_page(catalogue, _routes(), "/studies/nowhere", "")


def test_every_view_opens_on_a_study_with_results_and_on_one_without(catalogue: Catalogue) -> None:
    assert set(PAGES) >= {"/", "/compare"}
    for view in VIEWS.values():
        assert view.layout(catalogue.live("small"))
        assert view.layout(catalogue.live("waiting"))


def test_tables_that_scroll_are_reached_by_the_keyboard(catalogue: Catalogue, live: LiveStudy) -> None:
    pages = [events.content(live), architecture.page(catalogue, {}, "small", live.members()[0].key).content]
    scrolling = [part for part in parts(pages) if "scroll" in getattr(part, "className", "").split()]
    assert len(scrolling) > 1
    assert all(part.tabIndex == 0 for part in scrolling)


def test_the_list_sends_only_the_rows_that_have_changed(catalogue: Catalogue) -> None:
    rows = [studies.row(line) for line in catalogue.lines()]
    assert studies.changes(rows, rows) == {}
    grown = [*rows[:1], {**rows[1], "accuracy": 0.99}, {"name": "new"}]
    assert studies.changes(rows, grown) == {"add": [{"name": "new"}], "update": [grown[1]], "remove": [rows[2]]}
    assert (rows[0]["done"], rows[0]["states"], rows[0]["parts"]) == ("12 of 12", "12 complete", [["COMPLETE", 1.0]])


def test_the_head_of_a_study_tells_its_numbers(live: LiveStudy) -> None:
    told = texts(study.headline(live))
    best = max(member.metrics["accuracy"].value for member in live.members())
    assert "12 of 12" in told
    assert f"{100 * best:.2f}\N{NO-BREAK SPACE}%" in told
    assert f"{live.history[-1].hypervolume:.4f}" in told


def test_the_front_s_figure_names_every_member_and_every_trial(live: LiveStudy) -> None:
    figure, note = front.drawn(live, AXES, "method", "auto", True, True, None, "light")
    found = marks(figure)
    members = front.front_data(live, None).points
    assert {point.id for point in members} <= set(found)
    assert {f"trial-{number}" for number in range(12)} <= set(found)
    for point in members:
        assert found[point.id] == tuple(point.metrics[name].value for name in AXES)
    assert "drawn" not in note  # twelve trials are not thinned
    assert "replicates" in note
    hidden = marks(front.drawn(live, AXES, "method", "auto", False, False, None, "light")[0])
    assert set(hidden) == {point.id for point in members}


@pytest.mark.parametrize("colour", ["method", "budget", "width", "replicate", "state"])
def test_the_front_is_coloured_by_any_property(live: LiveStudy, colour: str) -> None:
    figure, _ = front.drawn(live, AXES, colour, "linear", True, False, None, "dark")
    expected = {
        "method": {"random", "darts"},
        "width": {"4×5"},
        "replicate": {"0", "1"},
        "state": {"COMPLETE"},
    }
    groups = {trace.legendgroup for trace in figure.data if trace.legendgroup}
    assert groups - {"several"} == expected.get(colour, groups)
    assert colour != "budget" or {"none"} < groups


def test_trials_are_coloured_by_the_length_of_training_that_their_values_come_from(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    raw = small_study(replicates=6, promotion={"epochs": [2], "factor": 2}, protocol={"name": "short", "epochs": 9})
    with Store.open(url, create=True) as store:
        drive(store, raw, FakePool())
    live = Catalogue(url).live("small")
    assert "protocol" in colouring.choices(live)
    told = dict(zip(live.trials.words("state"), colouring.groups(live, "protocol"), strict=True))
    assert told == {"COMPLETE": "short, 9 epochs", "PRUNED": "short, 2 epochs"}
    assert {colouring.group_of(live, point, "protocol") for point in front.front_data(live, None).points} == {"short, 9 epochs"}


def test_the_protocol_is_no_choice_where_there_is_one_only(live: LiveStudy) -> None:
    assert "protocol" not in colouring.choices(live)


def test_the_front_is_drawn_in_space_over_three_metrics(live: LiveStudy) -> None:
    figure, _ = front.drawn(live, ["params", "accuracy", "latency_ms"], "method", "log", True, True, None, "light")
    assert {trace.type for trace in figure.data} == {"scatter3d"}
    assert figure.layout.scene.xaxis.type == "log"
    assert figure.layout.scene.zaxis.title.text == "latency [ms]"


def test_the_slider_shows_the_front_as_it_was(live: LiveStudy) -> None:
    first = live.history[0].number
    then = {point.id for point in front.front_data(live, first).points}
    figure, _ = front.drawn(live, AXES, "method", "auto", False, False, first, "light")
    assert set(marks(figure)) == then
    assert front.moment_text(live, first).startswith(f"front {first} of {live.history[-1].number}: ")
    assert ", now: " in front.moment_text(live, None)


def test_the_table_and_the_figure_name_members_alike(live: LiveStudy) -> None:
    table = front.members_table(live, None, "method")
    assert [row["id"] for row in table.rowData] == [point.id for point in front.front_data(live, None).points]
    assert table.rowData[0]["href"] == f"/studies/small/networks/{live.members()[0].key}"


def test_a_marker_leads_to_its_network(live: LiveStudy) -> None:
    member = front.front_data(live, None).points[0]
    assert front.chosen(live, member.id, None) == member
    primary = next(one for one in live.store.candidates(live.record.id, trial=5) if one.origin == "primary")
    found = front.chosen(live, "trial-5", None)
    assert found is not None
    assert (found.key, found.metrics["params"].value) == (primary.architecture, primary.params)


def test_device_time_rises_with_the_front_s_changes(live: LiveStudy) -> None:
    steps = volume.with_history(live).history
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds)
    assert 0 <= seconds[-1] <= live.store.device_seconds(live.record.id)
    assert [step.hypervolume for step in steps] == [step.hypervolume for step in live.history]


def test_the_race_s_table_has_a_row_for_each_method(live: LiveStudy) -> None:
    rows = methods.rows(race(live.study))
    assert [row["method"] for row in rows] == ["random", "darts"]
    assert [row["complete"] for row in rows] == [6, 6]
    assert [row["collapse_rate"] for row in rows] == [0, 0]


def test_budgets_are_held_against_what_trials_came_to(live: LiveStudy) -> None:
    data = budgets.with_trials(live)
    stored = {trial.number: trial for trial in live.store.trials(live.record.id)}
    assert len(data.trials) == 12
    for trial in data.trials:
        assert trial.values["params"] == (stored[trial.number].values or {})["params"]
        assert (trial.budget is None) == (stored[trial.number].params["budget"] == "none")


def test_parameters_that_vary_are_method_budget_and_replicate(live: LiveStudy) -> None:
    assert list(parameters.varied(live)) == ["method", "budget", "replicate"]
    figure, note = parameters.parallel(live, "accuracy", "light")
    drawn = sum(np.isnan(np.asarray(trace.y, dtype=float)).sum() for trace in figure.data)
    assert (drawn, note) == (12, "")  # a gap behind each trial's line


def test_every_attempt_is_a_bar(live: LiveStudy) -> None:
    bars, total = workers.attempts(live)
    assert len(bars) == total == len(live.store.attempts(live.record.id))
    assert {bar.state for bar in bars} == {"COMPLETE"}


@pytest.mark.parametrize(
    ("line", "bounds"),
    [
        ("params=2M latency_ms=5", [Bound("params", upper=2e6), Bound("latency_ms", upper=5)]),
        ("params<=2M, accuracy>=0.9", [Bound("params", upper=2e6), Bound("accuracy", lower=0.9)]),
        ("10k <= params <= 2M  macs=5M", [Bound("params", 10e3, 2e6), Bound("macs", upper=5e6)]),
        ("  ", []),
    ],
)
def test_budgets_are_typed_with_spaces_or_commas(line: str, bounds: list[Bound]) -> None:
    assert pick.read_bounds(line) == bounds


def test_the_pick_is_the_most_accurate_network_within_the_budget(live: LiveStudy) -> None:
    archive = live.study.archive()
    limit = sorted(network.metrics["params"].value for network in archive)[len(archive) // 2]
    fitting = [network for network in archive if network.metrics["params"].value <= limit]
    best = max(fitting, key=lambda network: network.metrics["accuracy"].value)
    answer = pick.answer(live, f"params={limit:g}", False)
    told = texts(answer)
    assert best.key in told
    assert f"moonas arch small {best.key[:12]}" in told
    assert f"moonas best small --under 'params<={limit:g}'" in told
    figure = pick.figure(live, named(answer, "picked").data, pick.read_bounds(f"params={limit:g}"), "light")
    assert (figure.data[0].x[0], figure.data[0].y[0]) == (best.metrics["params"].value, best.metrics["accuracy"].value)


def test_a_budget_that_nothing_meets_is_answered_with_what_would(live: LiveStudy) -> None:
    with pytest.raises(UsageError, match="no measured network of 'small' meets params<=1"):
        pick.answer(live, "params=1", False)


@pytest.mark.parametrize("line", ["", "params=40k", "params=40k accuracy=0.85", "macs=900k", "30k<=params<=60k", "latency_ms=5"])
@pytest.mark.parametrize("knee", [False, True])
def test_the_quick_way_picks_what_the_study_picks(live: LiveStudy, line: str, knee: bool) -> None:
    bounds = pick.read_bounds(line)
    try:
        expected = live.study.best(bounds, knee=knee).place
    except UsageError:
        with pytest.raises(UsageError):
            pick.best(live, bounds, knee)
    else:
        assert pick.best(live, bounds, knee).place == expected


def test_the_knee_is_the_study_s_own(live: LiveStudy) -> None:
    assert live.study.best(knee=True).key in texts(pick.answer(live, "", True))


def test_a_margin_is_the_share_of_the_bound_that_is_left() -> None:
    bounds = [Bound("params", upper=25_000), Bound("accuracy", lower=0.8)]
    assert pick.margin(bounds, "params", 23_482) == "6.1% to spare (≤ 25k)"
    assert pick.margin(bounds, "accuracy", 0.9) == "12.5% to spare (≥ 0.8)"
    assert pick.margin(bounds, "macs", 1) == ""


def test_an_architecture_s_page_holds_its_costs_measurements_and_files(catalogue: Catalogue, live: LiveStudy) -> None:
    member = live.members()[0]
    page = architecture.page(catalogue, {}, "small", member.key[:8])
    told = texts(page.content)
    assert f"{member.metrics['params'].value:,.0f}" in told
    measured = live.store.evaluations(live.record.id, architectures=[member.key])
    assert len(named(page.content, "evaluations").rowData) == len(measured)
    assert "half within 0.5" in told  # the interquartile range of the latency
    links = {part.download: part.href for part in parts(page.content) if getattr(part, "download", None)}
    content = json.loads(unquote(links[f"{member.key[:12]}.json"].partition(",")[2]))
    assert Architecture.from_json(content) == member.architecture
    assert (
        Architecture.from_genotype(unquote(links[f"{member.key[:12]}.txt"].partition(",")[2])).groups == member.architecture.groups
    )


def test_no_weights_are_offered_where_none_are_kept(catalogue: Catalogue, live: LiveStudy) -> None:
    assert "safetensors" not in str(architecture.page(catalogue, {}, "small", live.members()[0].key).content)


def test_an_unknown_architecture_is_answered_with_known_ones(catalogue: Catalogue) -> None:
    with pytest.raises(UsageError, match="its keys"):
        architecture.page(catalogue, {}, "small", "zzzz")


def test_two_studies_are_compared_in_one_box(catalogue: Catalogue) -> None:
    content = compare.compared(catalogue, ["small", "other"], False)
    small, other = named(content, "standings").rowData
    assert small["lead"] is None
    assert other["lead"] == pytest.approx(other["hypervolume"] - small["hypervolume"])
    fronts = [catalogue.live(name).members() for name in ("small", "other")]
    together = np.array([[-n.values["accuracy"], n.values["params"], n.values["latency_ms"]] for one in fronts for n in one])
    kept = non_dominated(together)
    assert [small["in_union"], other["in_union"]] == [int(kept[: len(fronts[0])].sum()), int(kept[len(fronts[0]) :].sum())]


def test_one_study_alone_is_not_compared(catalogue: Catalogue) -> None:
    assert "Choose two studies" in texts(compare.compared(catalogue, ["small"], False))


def test_members_of_a_group_share_its_colour_in_table_and_figure(live: LiveStudy) -> None:
    figure, _ = front.drawn(live, AXES, "method", "auto", True, False, None, "light")
    colours = {trace.legendgroup: trace.marker.color for trace in figure.data if trace.legendgroup}
    for row in front.members_table(live, None, "method").rowData:
        assert colours[row["group"]] == row["colour"]


def test_marks_are_taken_by_their_numbers() -> None:
    some = Marks(values={"a": np.arange(3.0)}, groups=np.array(["x", "y", "x"]), ids=["0", "1", "2"], told=["", "b", "c"])
    taken = some.take(np.array([2, 0]))
    assert (taken.values["a"].tolist(), taken.ids, taken.told) == ([2.0, 0.0], ["2", "0"], ["c", ""])
