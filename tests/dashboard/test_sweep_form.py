"""A study file as a form: what fields show, what they change in the text, and what is said of a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.pages import new
from moonas.dashboard.sweep.beginnings import beginning, free_name, templates, text_of
from moonas.dashboard.sweep.edits import entry, with_budget_of, with_entry, with_more, without
from moonas.dashboard.sweep.form import form, path_of
from moonas.dashboard.sweep.plan import plan
from moonas.dashboard.sweep.verdict import is_yaml, judge
from moonas.errors import UnknownStudyError
from moonas.preview import preview
from moonas.study.loading import load_study, parse_study
from moonas.study.reserved import RESERVED
from moonas.study.yaml_text import part, read_path
from tests.dashboard.conftest import asked
from tests.dashboard.test_pages import parts, texts

STUDIES = [path for path in sorted((Path(__file__).parents[2] / "studies").glob("*.yaml")) if path.stem != "function"]
FIRST = templates()["first"][1]


def fields(text: str) -> dict[str, Any]:
    """Every field of the form by the path it shows."""
    found = [part for part in parts(form(text)) if isinstance(getattr(part, "id", None), dict)]
    return {field.id["path"]: field for field in found if field.id["type"] == "ask"}


def edited(text: str, path: str, typed: str | None) -> Any:
    """What the file says once a field was filled in."""
    return yaml.safe_load(with_entry(text, read_path(path), typed))


@pytest.mark.parametrize(
    ("path", "typed", "key", "says"),
    [
        ("data.name", "fashion-mnist", "data", "fashion-mnist"),
        ("data.size", "14", "data", {"name": "digits", "size": 14}),
        ("final.channels", "4, 8", "final", {"channels": [4, 8], "cells": 3}),
        ("budgets.params", "10%, geometric(1M, 5M, 3), none", "budgets", {"params": ["10%", "geometric(1M, 5M, 3)", "none"]}),
        ("budgets.params", "{lower: 1k, upper: 2M}", "budgets", {"params": [{"lower": "1k", "upper": "2M"}]}),
        ("constraints", "macs<=5M, accuracy>=0.5", "constraints", ["macs<=5M", "accuracy>=0.5"]),
        ("protocol.epochs", "20", "protocol", {"name": "short", "lr": 0.1}),  # the default is not written
        ("protocol.label_smoothing", "0.1", "protocol", {"name": "short", "epochs": 5, "lr": 0.1, "label_smoothing": 0.1}),
        ("replicates", "1", "replicates", None),
        ("trials", "50", "trials", 50),
        ("sampler.name", "tpe", "sampler", "tpe"),
        ("limits.hours", "8", "limits", {"hours": 8}),
        ("workers.devices", "cpu", "workers", {"devices": "cpu"}),
        ("workers.devices", "[0, 1]", "workers", {"devices": [0, 1]}),
        ("workers.only_idle", "true", "workers", {"only_idle": True}),
        ("objectives[1].metric", "macs", "objectives", ["accuracy", "macs"]),
        ("objectives[1].reference", "1M", "objectives", ["accuracy", {"metric": "params", "reference": "1M"}]),
        ("name", "[oops", "name", "[oops"),  # for the file's reader to judge
    ],
)
def test_a_field_changes_what_it_shows(path: str, typed: str, key: str, says: Any) -> None:
    before, after = yaml.safe_load(FIRST), edited(FIRST, path, typed)
    assert after.get(key) == says
    assert {name: value for name, value in after.items() if name != key} == {n: v for n, v in before.items() if n != key}
    assert "# of the way from the smallest to the largest network" in with_entry(FIRST, read_path(path), typed)


def test_a_setting_of_a_method_may_be_a_range_and_goes_when_it_is_emptied() -> None:
    path = read_path("methods[1].alpha_lr")
    text = with_entry(FIRST, path, "{log: [1e-4, 1e-2]}")
    assert parse_study(text).methods[1].open["alpha_lr"].values == (1e-4, 1e-2)
    assert entry(yaml.safe_load(text), path) == "{log: [1e-4, 1e-2]}"
    assert "alpha_lr" not in edited(text, "methods[1].alpha_lr", "")["methods"][1]


def test_another_method_keeps_the_settings_that_it_has_too() -> None:
    text = with_entry(FIRST, read_path("methods[1].handler.name"), "penalty")
    assert edited(text, "methods[1].name", "parsec")["methods"][1] == {
        "name": "parsec", "epochs": 4, "weight_lr": 0.05, "handler": "penalty",
    }  # fmt: skip
    assert edited(text, "methods[1].name", "random")["methods"][1] == "random"


def test_what_stands_there_anyway_changes_nothing() -> None:
    for path, field in fields(FIRST).items():
        assert with_entry(FIRST, read_path(path), field.value) == FIRST, path


def test_lists_grow_and_shrink() -> None:
    more = with_more(with_more(with_more(FIRST, ("methods",)), ("objectives",)), ("budgets",))
    found = yaml.safe_load(more)
    assert len(found["methods"]) == 3
    assert set(found["objectives"]) > {"accuracy", "params"}
    assert found["budgets"] == {"params": ["5%", "20%", "60%"], "macs": ["50%"]}
    assert yaml.safe_load(without(more, ("methods", 0)))["methods"][0]["name"] == "darts"
    assert "budgets" not in yaml.safe_load(without(FIRST, ("budgets", "params")))
    assert yaml.safe_load(with_budget_of(FIRST, ("budgets", "params"), "macs"))["budgets"] == {"macs": ["5%", "20%", "60%"]}
    assert yaml.safe_load(with_more("name: a\n", ("methods",)))["methods"]


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_the_form_shows_every_study_file_and_none_of_what_a_server_chooses(file: Path) -> None:
    text = file.read_text("utf-8")
    data, shown = yaml.safe_load(text), fields(text)
    for path, field in shown.items():
        assert path_of(field.id) == read_path(path)
        value = part(data, read_path(path))
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert float(field.value) == value, path
    assert not {".".join(path) for path in RESERVED} & set(shown)
    for number, method in enumerate(data["methods"]):
        assert all(
            f"methods[{number}].{key}" in shown
            for key in method
            if isinstance(method, dict) and key not in ("handler", "continue_from")
        )


def test_measured_objectives_ask_for_a_reference_and_others_do_not() -> None:
    text = FIRST.replace("[accuracy, params]", "[accuracy, params, latency_ms]")
    assert [fields(text)[f"objectives[{number}].reference"].required for number in range(3)] == [False, False, True]


@pytest.mark.parametrize(
    "text",
    [
        "data: [1]",
        "data: {name: [1]}", "methods: 3", "methods: [[1]]", "methods: [{name: function, function: [1]}]", "budgets: [1]",
        "budgets: {1: 2}", "objectives: {a: 1}", "search: 4", "workers: {backend: [1]}", "sampler: {name: [x]}", "", "# x", "1: 2",
        "methods: [{name: darts, handler: [1], 3: 4}]", "final: {channels: {a: 1}}", "- a", "a: &x [*x]", "? [a]\n: b", "name: [",
    ],
)  # fmt: skip
def test_whatever_is_typed_is_judged_and_shown_where_it_can_be(text: str, catalogue: Catalogue) -> None:
    assert judge(text, catalogue).mistakes
    assert not is_yaml(text) or form(text)


def test_mistakes_have_their_lines(catalogue: Catalogue) -> None:
    text = FIRST.replace("data: digits", "data: digit").replace("epochs: 5", "epochs: none") + "storage: sqlite:///a.db\n"
    (refused,) = judge(text, catalogue).mistakes
    assert (refused.path, text.splitlines()[refused.line - 1]) == ("storage", "storage: sqlite:///a.db")
    lines = text.splitlines()[:-1]
    found = judge("\n".join(lines), catalogue).mistakes
    assert [(one.path, lines[one.line - 1][:9]) for one in found] == [("data.name", "data: dig"), ("protocol.epochs", "protocol:")]
    (broken,) = judge("name: a\ndata: [1\nspace: b", catalogue).mistakes
    assert broken.line == 3


def test_a_study_that_is_there_is_compared(catalogue: Catalogue) -> None:
    def standing(**changed: Any) -> tuple[bool, list[str], list[str], bool]:
        verdict = judge(yaml.safe_dump(asked(**changed)), catalogue)
        assert verdict.mistakes == ()
        return verdict.stored, [one.path for one in verdict.refused], [one.path for one in verdict.added], verdict.startable

    assert standing() == (True, [], [], True)
    assert standing(limits={"hours": 1}) == (True, [], [], True)
    assert standing(replicates=3) == (True, [], ["replicates"], True)
    assert standing(seed=99) == (True, ["seed"], [], False)
    assert standing(name="unheard-of") == (False, [], [], True)


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_a_stored_study_begins_anew_with_what_differs_from_the_defaults(file: Path) -> None:
    study = load_study(file)
    text = text_of(study.to_json(), study.name)
    assert parse_study(text) == study
    assert len(yaml.safe_load(text)) <= len(yaml.safe_load(file.read_text("utf-8"))) + 2


def test_it_has_a_name_of_its_own(catalogue: Catalogue) -> None:
    assert yaml.safe_load(beginning(catalogue, "small"))["name"] == "small-2"
    assert free_name("a", ["a", "a-2", "a-3"]) == "a-4"
    with pytest.raises(UnknownStudyError):
        new.page(catalogue, {"from": "nowhere"})


@pytest.mark.parametrize("name", list(templates()))
def test_every_example_is_sound_and_small(name: str, catalogue: Catalogue) -> None:
    text = templates()[name][1]
    assert judge(text, catalogue).startable
    assert preview(yaml.safe_load(text), measure=False)["trials"] <= 20


def test_the_plan_tells_what_each_budget_reaches_and_what_is_left_out() -> None:
    found = preview(asked(final={"channels": [4, 8], "cells": 5}, budgets={"params": ["5%", "60%"]}), measure=False)
    told = texts(plan(found, {"name": "small", "seconds": 90}))
    assert "left out: " in told
    assert "Trials of small have taken 1 min 30 s of device time each." in told
    rows = [part for part in parts(plan(found, None)) if type(part).__name__ == "Tr"]
    assert len(rows) == 1 + 2 * 2
