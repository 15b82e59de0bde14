import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from moonas.architecture import Architecture
from moonas.errors import StorageError
from moonas.report.html import render, write_report
from moonas.report.records import ObjectiveInfo, Value

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"&amp;"
VOID = {"meta", "br", "img", "input", "hr", "link"}


class Page(HTMLParser):
    """elements: (tag, attributes); scripts and data: the text of executed scripts and of JSON blocks; texts: all other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements, self.scripts, self.data, self.texts, self._open = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID and self.get_starttag_text()[-2:] != "/>":
            self._open.append((tag, dict(attributes)))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "script":
            (self.data if attributes.get("type") == "application/json" else self.scripts).append(data)
        elif tag != "style":
            self.texts.append(data)

    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    def all(self, tag: str) -> list[dict]:
        return [attributes for of, attributes in self.elements if of == tag]

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture(scope="module")
def page(study) -> Page:
    return Page(render(study))


@pytest.fixture(scope="module")
def hostile(study) -> Page:
    """The same study with markup in every name, label, key, setting, version and error text."""
    points = [replace(point, key=HOSTILE, method=HOSTILE) for point in study.points]
    trials = [replace(trial, method=HOSTILE, state=HOSTILE, error=HOSTILE + "\n" + HOSTILE) for trial in study.trials]
    text = {HOSTILE: HOSTILE}
    objective = ObjectiveInfo(name=HOSTILE, label=HOSTILE, direction="minimize", unit=HOSTILE)
    points = [replace(point, metrics={**point.metrics, HOSTILE: Value(value=1.5)}) for point in points]
    history = [replace(step, cause=HOSTILE) for step in study.history]
    data = replace(study, name=HOSTILE, state=HOSTILE, version=HOSTILE, versions=text, settings=text, points=tuple(points))
    data = replace(
        data, trials=tuple(trials), objectives=(*study.objectives, objective), history=tuple(history), reference={HOSTILE: 2}
    )
    return Page(render(data))


def test_nothing_in_the_page_points_outside_it(page):
    for _, attributes in page.elements:
        assert not {"src", "srcset", "action", "data", "poster", "background"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & page.tags()


def test_style_sheets_fetch_nothing(study):
    styles = "".join(re.findall(r"<style>(.*?)</style>", render(study), re.S))
    assert "body" in styles
    assert "url(" not in styles
    assert "@import" not in styles


def test_plotly_is_in_the_page_exactly_once(page):
    from plotly.offline import get_plotlyjs

    assert page.scripts.count(get_plotlyjs()) == 1
    assert len(page.scripts) == 2


def test_the_policy_allows_the_two_scripts_by_their_hashes_and_no_request(page):
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    hashes = {f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in page.scripts}
    assert set(rules["script-src"].split()) == hashes
    assert rules["default-src"] == "'none'"
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_markup_in_any_text_stays_text(hostile, page):
    assert len(hostile.scripts) == 2
    assert hostile.tags() == page.tags()
    assert not any(name.startswith("on") for _, attributes in hostile.elements for name in attributes)
    assert hostile.text.count("<script>alert('x')</script>") > 60


def test_no_text_can_end_a_data_block(hostile):
    assert len(hostile.data) == 5  # two fronts, hypervolume, budgets, templates
    assert all("<" not in block for block in hostile.data)
    assert any("alert" in json.dumps(json.loads(block)) for block in hostile.data)


def test_every_link_leads_to_one_place_of_the_page(page):
    links = {link["href"].removeprefix("#") for link in page.all("a")}
    assert len(set(page.ids)) == len(page.ids)
    assert links <= set(page.ids)
    assert {"front", "members", "budgets", "trials", "settings"} <= links


def test_markers_of_members_lead_to_their_cards_and_the_others_to_their_trials(page, study):
    front = json.loads(page.data[0])["data"]
    targets = [next(name for name in marker if name in page.ids) for trace in front for marker in trace.get("customdata", ())]
    expected = [point.id if point.on_front else f"trial-{point.trial}" for point in study.points]
    assert sorted(targets) == sorted(expected)


def test_each_member_has_a_card_with_its_cells_and_its_genotype(page, study):
    members = [point for point in study.points if point.on_front]
    assert [card["id"] for card in page.all("article")] == [
        point.id for point in sorted(members, key=lambda p: p.metrics["params"].value)
    ]
    assert len([svg for svg in page.all("svg") if svg.get("class") == "cell"]) == 2 * len(members)
    written = [text for text in page.texts if text.startswith("Genotype(")]
    assert {Architecture.from_genotype(text) for text in written} == {point.architecture for point in members}


def test_an_architecture_without_genotype_text_is_given_as_json():
    architecture = Architecture("darts-cnn", {"normal": [(2, 0, "skip_connect")]}, {"normal": (2,)})
    assert Architecture.from_json(architecture.to_text()) == architecture


def test_headline_numbers_are_those_of_the_best_and_the_smallest_member(page, study):
    members = [point for point in study.points if point.on_front]
    best = max(members, key=lambda point: point.metrics["accuracy"].value)
    assert f"{100 * best.metrics['accuracy'].value:.2f}\N{NO-BREAK SPACE}%" in page.texts
    assert f"test accuracy {100 * best.metrics['test_accuracy'].value:.2f}\N{NO-BREAK SPACE}%" in page.texts
    assert f"{min(point.metrics['params'].value for point in members) / 1000:.3g}k" in page.texts
    assert "of 24 networks evaluated" in page.texts
    assert "6 min 24 s" in page.texts  # 12 * 31.4 + 7.5 seconds


def test_test_accuracy_of_networks_off_the_front_is_nowhere(study):
    marked = [
        replace(point, metrics={**point.metrics, "test_accuracy": Value(value=0.123456 if not point.on_front else 0.5)})
        for point in study.points
    ]
    text = render(replace(study, points=tuple(marked)))
    assert "50.00" in text
    assert "12.35" not in text


def test_a_failed_trial_shows_its_error_with_the_traceback_folded(page):
    assert "NonFiniteLossError: the loss became nan in epoch 3" in page.texts
    assert any("loss = descend(" in text for text in page.texts)
    assert "12 complete, 1 failed, 1 running; failed: " in page.texts


def test_settings_and_versions_are_listed(page):
    assert any("budgets:\n- 10%\n- 35%\n- 70%" in text for text in page.texts)
    assert {"torch", "2.15.0"} <= set(page.texts)


def test_a_study_without_evaluations_says_so_and_carries_no_plotly(study):
    new = Page(render(replace(study, state="NEW", points=(), trials=(), history=())))
    assert "No evaluations yet. The front appears here once the first network has been evaluated." in new.texts
    assert (len(new.scripts), new.data, new.all("table")) == (1, [], [])


def test_a_study_whose_trials_all_failed_says_so(study):
    failed = Page(render(replace(study, points=(), trials=study.trials[-2:], history=())))
    assert "No evaluations yet: 1 of 2 trials failed. Their errors stand below." in failed.texts


def test_a_study_with_no_feasible_network_shows_what_was_evaluated(study):
    none = Page(render(replace(study, points=tuple(replace(point, on_front=False) for point in study.points))))
    assert any(text.startswith("No network meets the constraints yet") for text in none.texts)
    assert none.all("article") == []
    assert sum(len(trace.get("customdata", ())) for trace in json.loads(none.data[0])["data"]) == 24


def test_the_file_holds_the_rendered_page(study, tmp_path):
    write_report(study, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == render(study)


def test_a_report_that_cannot_be_written_is_refused_with_its_path(study, tmp_path):
    with pytest.raises(StorageError, match=r"nowhere/report\.html: No such file"):
        write_report(study, tmp_path / "nowhere" / "report.html")
