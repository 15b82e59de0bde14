"""Fronts as range queries: who stays, who leaves, and what any past front looked like."""

import pytest

from tests.store.conftest import SKELETON, architecture, candidate, evaluate, front, member


@pytest.fixture
def known(ledger):
    """Architectures 0 to 5 are candidates of trial 0."""
    ledger.add_candidates(ledger.add_trial(0, {}, 0), [candidate(number) for number in range(6)])
    return ledger


def numbers(members):
    by_key = {architecture(number).key: number for number in range(6)}
    return {by_key[record.architecture]: record.values["accuracy"] for record in members}


def test_a_study_without_results_has_no_front(store, study, ledger):
    assert ledger.replace_front(front()) is None
    assert store.front(study.id) == []
    assert store.front_history(study.id) == []


def test_every_past_front_can_be_asked_for(store, study, known):
    fronts = [
        front(member(0, 0.5, 100), hypervolume=0.1, cause="trial 0", evaluations=1),
        front(member(0, 0.5, 100), member(1, 0.7, 200), hypervolume=0.2, cause="trial 1", evaluations=2),
        front(member(2, 0.8, 90), hypervolume=0.5, cause="trial 4", evaluations=5),
        front(member(2, 0.8, 90), member(0, 0.5, 80), hypervolume=0.6, cause="trial 5", evaluations=6),
    ]
    assert [known.replace_front(update) for update in fronts] == [1, 2, 3, 4]
    past = [numbers(store.front(study.id, number)) for number in range(5)]
    assert past == [{}, {0: 0.5}, {0: 0.5, 1: 0.7}, {2: 0.8}, {2: 0.8, 0: 0.5}]
    assert numbers(store.front(study.id)) == {2: 0.8, 0: 0.5}
    history = store.front_history(study.id)
    assert [(step.number, step.cause, step.hypervolume, step.evaluations) for step in history] == [
        (1, "trial 0", 0.1, 1),
        (2, "trial 1", 0.2, 2),
        (3, "trial 4", 0.5, 5),
        (4, "trial 5", 0.6, 6),
    ]


def test_an_unchanged_front_gets_no_new_number(store, study, known):
    members = member(0, 0.5, 100), member(1, 0.7, 200)
    assert known.replace_front(front(*members)) == 1
    assert known.replace_front(front(*reversed(members), cause="trial 9", evaluations=7)) is None
    assert len(store.front_history(study.id)) == 1


def test_a_member_whose_value_changed_leaves_and_enters_anew_and_others_stay(store, study, known):
    known.replace_front(front(member(0, 0.5, 100), member(1, 0.7, 200)))
    known.replace_front(front(member(0, 0.625, 100), member(1, 0.7, 200)))
    stays = {record.values["accuracy"]: (record.entered, record.left_front) for record in store.front(study.id)}
    assert stays == {0.625: (2, None), 0.7: (1, None)}
    before = {record.values["accuracy"]: (record.entered, record.left_front) for record in store.front(study.id, 1)}
    assert before == {0.5: (1, 2), 0.7: (1, None)}


def test_a_member_comes_with_its_genotype_skeleton_and_exact_costs(store, study, known):
    known.replace_front(front(member(3, 0.5, 1003)))
    (record,) = store.front(study.id)
    assert (record.genotype, record.skeleton_json) == (architecture(3).to_json(), SKELETON.to_json())
    assert (record.params, record.macs, record.values) == (1003, 2003, {"accuracy": 0.5, "params": 1003})


def test_members_come_in_the_order_of_their_keys_whoever_was_first(store, study, known):
    for count in range(1, 7):
        known.replace_front(front(*[member(number, 0.5, number) for number in range(count)]))
    keys = [record.architecture for record in store.front(study.id)]
    assert keys == sorted(keys)
    assert len(keys) == 6


def test_fronts_of_two_protocols_are_kept_apart(store, study, known):
    known.replace_front(front(member(0, 0.5, 100), protocol="short"))
    known.replace_front(front(member(1, 0.9, 100), protocol="full"))
    known.replace_front(front(member(2, 0.6, 100), protocol="short"))
    assert numbers(store.front(study.id)) == {2: 0.6}
    assert numbers(store.front(study.id, protocol="full")) == {1: 0.9}
    assert numbers(store.front(study.id, 2)) == {1: 0.9}
    assert numbers(store.front(study.id, 2, protocol="short")) == {0: 0.5}
    assert [step.number for step in store.front_history(study.id, "short")] == [1, 3]


def test_an_evaluation_and_its_front_are_stored_together(store, study, ledger):
    evaluate(ledger, 4, {"accuracy": 0.75}, front=front(member(4, 0.75, 1004), cause="trial 4"))
    assert numbers(store.front(study.id)) == {4: 0.75}
    with pytest.raises(KeyError):  # a member that was never a candidate: the evaluation is not stored either
        evaluate(ledger, 5, front=front(member(3, 0.9, 1)))
    assert len(store.evaluations(study.id)) == 1
    assert numbers(store.front(study.id)) == {4: 0.75}
