"""What the API says of a study, against what the study itself says."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from starlette.testclient import TestClient

from moonas import api
from moonas.architecture import Architecture
from moonas.service.api.kept import KEPT, KeptAnswers

SMALL = "/api/v1/studies/small"


def found(client: TestClient, path: str, status: int = 200) -> Any:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_the_list_tells_state_progress_and_front(client: TestClient, url: str) -> None:
    study = api.load_study("small", url)
    (line,) = found(client, "/api/v1/studies")
    assert (line["name"], line["state"], line["driven"], line["trials"]) == ("small", "COMPLETE", False, {"COMPLETE": 12})
    assert line["planned"] == 12  # 2 methods, 3 budgets, 2 replicates
    assert line["front"] == len(study.front())
    last = study.front_history()[-1]
    assert (line["front_number"], line["hypervolume"]) == (last.number, last.hypervolume)
    assert line["accuracy"] == max(network.values["accuracy"] for network in study.front())
    assert line["device_hours"] == pytest.approx(study.store.device_seconds(study.record.id) / 3600)


def test_a_study_is_given_with_its_whole_file(client: TestClient, url: str) -> None:
    assert found(client, SMALL)["config"] == api.load_study("small", url).config.to_json()


def test_a_front_is_the_study_s_own_and_each_of_the_past_is_given_too(client: TestClient, url: str) -> None:
    study = api.load_study("small", url)
    for number in (None, *(step.number for step in study.front_history())):
        answer = found(client, f"{SMALL}/front" + (f"?number={number}" if number else ""))
        expected = [network.to_json() | {"on_front": network.on_front} for network in study.front(number)]
        assert answer["members"] == expected
        assert answer["step"]["number"] == (number or study.front_history()[-1].number)
    numbers = [step["number"] for step in found(client, f"{SMALL}/fronts")]
    assert numbers == [step.number for step in study.front_history()]
    assert [step["number"] for step in found(client, f"{SMALL}/fronts?after={numbers[0]}")] == numbers[1:]
    assert found(client, f"{SMALL}/front?number=4711", 404)["error"]["code"] == "not_found"


CHOICES = ["", "under=params<=60k", "under=params=60k&under=accuracy>=0.5", "knee=true", "weights=accuracy=2"]


@pytest.mark.parametrize("query", CHOICES)
def test_the_best_is_chosen_as_the_command_does(client: TestClient, url: str, query: str) -> None:
    study = api.load_study("small", url)
    from moonas.study.bounds import parse_under
    from moonas.study.objectives import parse_weights

    given = [part.partition("=")[::2] for part in query.split("&") if part]
    bounds = [bound for name, text in given if name == "under" for bound in parse_under(text)]
    weights = [parse_weights(text) for name, text in given if name == "weights"]
    expected = study.best(bounds, knee="knee" in query, weights=weights[0] if weights else None)
    params = [(name, text) for name, text in given]
    answer = client.get(f"{SMALL}/best", params=params)
    assert answer.json()["key"] == expected.key, answer.text


def test_what_nothing_meets_is_refused_with_what_would_do(client: TestClient) -> None:
    answer = client.get(f"{SMALL}/best", params={"under": "params=1"})
    assert answer.status_code == 400
    assert "it has params from" in answer.json()["error"]["message"]
    assert client.get(f"{SMALL}/best", params={"under": "nonsense"}).status_code == 400


def test_trials_are_chosen_sorted_and_paged(client: TestClient, url: str) -> None:
    trials = api.load_study("small", url).trials()
    page = found(client, f"{SMALL}/trials?offset=3&limit=4")
    assert (page["total"], [trial["number"] for trial in page["trials"]]) == (12, [3, 4, 5, 6])
    by_accuracy = [trial["number"] for trial in found(client, f"{SMALL}/trials?sort=-accuracy")["trials"]]
    assert by_accuracy == [t.number for t in sorted(trials, key=lambda t: (-(t.values or {})["accuracy"], t.number))]
    darts = found(client, f"{SMALL}/trials?method=darts&replicate=1&state=COMPLETE")
    expected = [t.number for t in trials if t.params["method"] == "darts" and t.replicate == 1]
    assert [trial["number"] for trial in darts["trials"]] == expected
    assert len(expected) == darts["total"] == 3
    budgets = {trial.params["budget"] for trial in trials}
    counts = [client.get(f"{SMALL}/trials", params={"budget": budget}).json()["total"] for budget in budgets]
    assert counts == [4, 4, 4]
    assert found(client, f"{SMALL}/trials?state=FAIL") == {"total": 0, "offset": 0, "trials": []}
    assert "did you mean 'accuracy'" in found(client, f"{SMALL}/trials?sort=acuracy", 400)["error"]["message"]


def test_a_trial_tells_what_its_tasks_reported(client: TestClient) -> None:
    numbers = range(12)
    trials = [found(client, f"{SMALL}/trials/{number}") for number in numbers]
    searched = next(trial for trial in trials if any(task["kind"] == "search" and task["steps"] for task in trial["tasks"]))
    steps = next(task["steps"] for task in searched["tasks"] if task["kind"] == "search")
    told = [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]  # by the fake pool
    assert [(step["step"], step["train_loss"]) for step in steps] == told
    assert all(len([one for one in trial["candidates"] if one["origin"] == "primary"]) == 1 for trial in trials)
    assert all(attempt["state"] == "COMPLETE" for trial in trials for task in trial["tasks"] for attempt in task["attempts"])
    assert "counted from 0" in found(client, f"{SMALL}/trials/12", 404)["error"]["message"]


def test_a_trial_tells_its_settings_and_who_shares_its_search(client: TestClient) -> None:
    trials = [found(client, f"{SMALL}/trials/{number}?steps=2") for number in range(12)]
    darts = next(trial for trial in trials if trial["params"]["method"] == "darts")
    settings = {(one["part"], one["name"]): one for one in darts["settings"]}
    assert (settings["method", "epochs"]["value"], settings["method", "epochs"]["default"]) == (3, 50)  # the paper's
    assert settings["trial", "budget"]["chosen"]
    differing = [one["chosen"] or one["value"] != one["default"] for one in darts["settings"]]
    assert differing == sorted(differing, reverse=True)
    search = next(task for task in darts["tasks"] if task["kind"] == "search")
    assert [step["step"] for step in search["steps"]] == [1, 3]
    sharing = [trial["number"] for trial in trials if any(task["key"] == search["key"] for task in trial["tasks"])]
    assert search["trials"] == sharing
    assert len(sharing) == 3  # one for each budget
    attempt = search["attempts"][0]
    assert attempt["started"] <= attempt["finished"]
    assert attempt["device"] == "cpu"


def test_the_weights_of_a_search_come_epoch_by_epoch_and_none_where_nothing_is_learned(client: TestClient) -> None:
    trials = found(client, f"{SMALL}/trials")["trials"]
    darts, random = (next(one["number"] for one in trials if one["params"]["method"] == name) for name in ("darts", "random"))
    told = found(client, f"{SMALL}/trials/{darts}/mixture")
    assert [step["step"] for step in told["steps"]] == [1, 2, 3]
    assert told["groups"]["normal"]["edges"] == [[0, 2], [1, 2], [0, 3], [1, 3], [2, 3]]  # two nodes, every node before each
    assert told["groups"]["reduce"]["operations"][3] == "skip_connect"
    assert told["steps"][-1]["groups"]["normal"]["operations"] == [[1.0] + [0.0] * 7] * 5  # by the fake pool
    assert found(client, f"{SMALL}/trials/{random}/mixture")["steps"] == []
    assert "counted from 0" in found(client, f"{SMALL}/trials/12/mixture", 404)["error"]["message"]


def test_an_architecture_is_found_by_the_beginning_of_its_key(client: TestClient, url: str) -> None:
    best = api.load_study("small", url).best()
    answer = found(client, f"{SMALL}/architectures/{best.key[:12]}")
    assert answer["key"] == best.key
    assert Architecture.from_json(answer["genotype"]) == best.architecture
    assert [network["key"] for network in answer["networks"]] == [best.key]
    assert {one["trial"] for one in answer["found_by"]} >= {best.trial}
    accuracies = [one["metrics"]["accuracy"] for one in answer["evaluations"]]
    assert sum(accuracies) / len(accuracies) == pytest.approx(best.values["accuracy"])
    assert found(client, f"{SMALL}/architectures/zz", 404)["error"]["code"] == "not_found"


def test_downloads_are_attachments_that_read_back(client: TestClient, url: str) -> None:
    best = api.load_study("small", url).best()
    text = client.get(f"{SMALL}/architectures/{best.key}/genotype.txt")
    plain = client.get(f"{SMALL}/architectures/{best.key}/genotype.json")
    assert Architecture.from_genotype(text.text, best.architecture.space) == best.architecture
    assert Architecture.from_json(plain.text) == best.architecture
    for answer in (text, plain):
        assert answer.headers["content-disposition"].startswith("attachment;")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_lists_come_as_csv_too(client: TestClient, url: str) -> None:
    study = api.load_study("small", url)
    trials = list(csv.DictReader(io.StringIO(client.get(f"{SMALL}/trials?format=csv").text)))
    assert [float(row["metrics.accuracy"]) for row in trials] == [(t.values or {})["accuracy"] for t in study.trials()]
    front = client.get(f"{SMALL}/front?format=csv")
    assert [row["key"] for row in csv.DictReader(io.StringIO(front.text))] == [network.key for network in study.front()]
    assert front.headers["content-disposition"] == 'attachment; filename="small-front.csv"'


def test_events_come_by_increments(client: TestClient) -> None:
    events = found(client, f"{SMALL}/events")
    assert [event["kind"] for event in events[:2]] == ["created", "state"]
    assert found(client, f"{SMALL}/events?after={events[0]['id']}") == events[1:]
    assert found(client, f"{SMALL}/events?limit=1") == events[:1]


def test_the_numbers_for_prometheus_are_those_of_the_study(client: TestClient) -> None:
    client.get("/api/v1/studies/none")
    answer = client.get("/api/v1/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert 'moonas_study_trials{study="small",state="COMPLETE"} 12' in lines
    assert 'moonas_http_requests_total{status="404"} 1' in lines
    assert all(line.startswith("# ") or line.rpartition(" ")[2].replace(".", "").replace("e-", "").isdigit() for line in lines)


def test_health_answers_and_says_503_where_the_database_is_gone(client: TestClient, url: str) -> None:
    assert found(client, "/api/v1/health")["status"] == "ok"
    client.app.state.store.close()  # type: ignore[attr-defined]
    path = url.removeprefix("sqlite:///")
    with open(path, "r+b") as file:
        file.truncate(0)
    assert found(client, "/api/v1/health", 503)["error"]["code"] == "no_database"


def test_every_error_has_the_one_shape(client: TestClient) -> None:
    for method, path, status, code in (
        ("GET", "/api/v1/studies/none", 404, "unknown_study"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/nothing", 404, "not_found"),
        ("PUT", "/api/v1/studies", 405, "method_not_allowed"),
        ("GET", f"{SMALL}/trials?limit=0", 422, "invalid_request"),
        ("GET", f"{SMALL}/trials/{2**40}", 422, "invalid_request"),
        ("POST", "/api/v1/validate", 415, "unsupported_media_type"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status, path
        error = answer.json()["error"]
        assert (error["code"], set(error)) == (code, {"code", "message", "problems"}), path
    problems = found(client, f"{SMALL}/trials?limit=0&offset=-1", 422)["error"]["problems"]
    assert [problem["path"] for problem in problems] == ["query.offset", "query.limit"]


def test_a_fault_of_ours_is_told_without_its_text(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("moonas.service.api.studies.study_facts", fail)
    answer = client.get("/api/v1/studies")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_answer_is_written_once_until_what_it_tells_has_changed() -> None:
    kept, made = KeptAnswers(), []

    def make() -> bytes:
        made.append(b"answer")
        return b"%d" % len(made)

    assert [kept.get("front", stamp, make) for stamp in (1, 1, 2, 2)] == [b"1", b"1", b"2", b"2"]
    assert kept.get("another front", 2, make) == b"3"


def test_what_cannot_be_answered_is_not_remembered_for_good() -> None:
    kept = KeptAnswers()

    def fail() -> bytes:
        raise KeyError("no such front")

    for number in range(3 * KEPT):
        with pytest.raises(KeyError):
            kept.get(number, 1, fail)
    assert len(kept._entries._known) <= KEPT
