"""What `moonas db check` finds in studies whose rows are sound and disagree: each contradiction planted in a finished study."""

import pytest

from moonas import api
from moonas.outer.plan import Plan
from moonas.study.changes import scientific_hash
from moonas.study.loading import study_from
from moonas.study.schema import SCHEMA
from tests.outer.fakes import FakePool, drive, small_study

RAW = small_study(methods=["random"], constraints=["params<=20000"])


@pytest.fixture
def finished(store):
    """The study, complete; its record."""
    config = Plan(study_from(RAW)).config
    stored = {"schema": SCHEMA, "config_hash": scientific_hash(config), "seed": config.seed, "version": "test"}
    record = store.create_study(config.name, config.to_json(), **stored)
    drive(store, RAW, FakePool())
    return record


def found(url):
    return [line.partition("; ")[0] for line in api.check_database(url)]


def test_a_finished_study_contradicts_nothing(url, finished):
    assert found(url) == []


def test_a_study_that_is_driven_is_left_alone(url, store, finished, plant):
    plant("UPDATE moonas_front SET hypervolume = 0.123")
    with store.ledger(finished.id):
        assert found(url) == []


def test_a_study_whose_rows_are_wrong_hides_nothing_of_another(url, store, plant, finished, new_study):
    with store.ledger(new_study("broken").id) as ledger:
        ledger.start_attempt(ledger.add_task("search", "k", {}, [ledger.add_trial(0, {}, 0)]).id, "slot 0", "cpu:0")
    plant("UPDATE moonas_front SET hypervolume = 0.5")
    lines = found(url)
    assert lines[0] == "study 'broken': 1 tasks are RUNNING but nobody drives the study"
    assert len(lines) == 2
    assert lines[1].startswith("study 'small': the hypervolume of front")


def test_a_changed_configuration_is_found_by_its_hash(url, plant, finished):
    plant("UPDATE moonas_study SET config = " + replaced(url, "config", '"seed": 3', '"seed": 4'))
    assert found(url)[0] == "study 'small': its configuration is not the one it was stored with, by its hash"


def test_a_configuration_that_cannot_be_read_is_found(url, plant, finished):
    plant("UPDATE moonas_study SET config = " + replaced(url, "config", '"random"', '"randomm"'))
    lines = found(url)
    assert lines[0].startswith("study 'small': its configuration is not the one")
    assert "its configuration cannot be read" in lines[1]
    assert "'randomm' is not a search method" in lines[1]


def test_a_hypervolume_that_does_not_match_its_members_is_found(url, store, plant, finished):
    last = store.front_history(finished.id)[-1]
    plant(f"UPDATE moonas_front SET hypervolume = 0.5 WHERE number = {last.number}")
    assert found(url) == [
        f"study 'small': the hypervolume of front {last.number} is 0.5 there, by its members {last.hypervolume:.6g}"
    ]


def test_costs_that_are_not_those_of_the_architecture_are_found(url, store, plant, finished):
    key, right = (candidate := store.candidates(finished.id)[0]).architecture, candidate.params
    of_it = f"architecture_id IN (SELECT id FROM moonas_architecture WHERE key = '{key}')"
    plant(f"UPDATE moonas_cost SET params = {right - 1} WHERE {of_it}")
    assert f"study 'small': trial 0, {key}: params is stored as {right - 1}, of the architecture it is {right}" in found(url)


def test_a_candidate_outside_its_budget_is_found(url, store, plant, finished):
    candidate = store.candidates(finished.id)[0]
    plant(f"""UPDATE moonas_candidate SET budget = '{{"params": {{"upper": 7}}}}' WHERE id = {candidate.id}""")
    assert found(url) == [
        f"study 'small': trial 0, {candidate.architecture}: params is {candidate.params}, outside its budget params<=7"
    ]


def test_a_complete_trial_whose_values_were_not_measured_is_found(url, store, plant, finished):
    values = dict(store.trial(finished.id, 1).values or {})
    changed = replaced(url, "values", values["accuracy"], 0.125)
    plant(f'UPDATE moonas_trial SET "values" = {changed} WHERE number = 1')
    assert found(url) == [f"study 'small': trial 1: accuracy is 0.125, but was measured as {values['accuracy']:g}"]
    plant("DELETE FROM moonas_evaluation")
    assert "study 'small': trial 0 is COMPLETE, but its network was not measured" in found(url)


def test_a_front_that_is_not_that_of_what_was_measured_is_found(url, store, plant, finished):
    last = "SELECT max(id) FROM moonas_front_member WHERE left_front IS NULL"
    plant(f"UPDATE moonas_front_member SET recipe = 'x' WHERE id IN ({last})")
    lines = found(url)
    assert sum("belongs on the front by what was measured, but is not there" in line for line in lines) == 1
    assert sum("is on the front, but does not belong there" in line for line in lines) == 1


def replaced(url, column, old, new):
    """SQL for a JSON column with some of its text replaced."""
    text = f"""replace(CAST("{column}" AS TEXT), '{old}', '{new}')"""
    return text if url.startswith("sqlite") else f"CAST({text} AS JSON)"
