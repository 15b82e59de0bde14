"""What a study may ask for when trainings are to be given up."""

import pytest

from tests.study.files import complaints, study

SHORT = {"protocol": {"name": "short", "epochs": 20}}


def test_pruning_is_off_unless_asked_for_and_has_defaults():
    assert study(**SHORT).pruning is None
    found = study(**SHORT, pruning={}).pruning
    assert (found.quantile, found.after, found.every, found.spared) == (0.95, None, 1, 0.1)
    assert found.least == 29


@pytest.mark.parametrize(
    ("pruning", "told"),
    [
        ({"quantile": 1}, {"pruning.quantile": "must be less than 1, got 1"}),
        ({"quantile": 0.4}, {"pruning.quantile": "must be greater than or equal to 0.5, got 0.4"}),
        ({"spared": 1}, {"pruning.spared": "must be less than 1, got 1"}),
        ({"after": 20}, {"pruning.after": "the bound at quantile 0.95 needs at least 29 finished trainings, not 20"}),
        ({"after": 29}, {}),
        ({"quantile": 0.9, "after": 19}, {}),
        ({"every": 18}, {}),
        ({"every": 19}, {"pruning.every": "leaves no look at a training of 20 epochs before its last but one"}),
        (True, {"pruning": "expected settings as a mapping, got True"}),
    ],
)
def test_settings_that_make_no_sense_are_refused(pruning, told):
    assert complaints(**SHORT, pruning=pruning) == told


def test_there_must_be_epochs():
    told = complaints(methods=["darts"], protocol="inherited", pruning={})
    assert told == {"pruning": "the protocol 'inherited' trains nothing epoch by epoch, so there is nothing to give up"}


LATENCY = {"metric": "latency_ms", "reference": 10}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ""),
        (
            {"objectives": ["params", "macs"]},
            "goes by accuracy, which is neither an objective nor bounded from below by a constraint",
        ),
        ({"objectives": ["params", "macs"], "constraints": ["accuracy>=0.5"]}, ""),
        ({"objectives": ["params", "macs"], "constraints": ["accuracy<=0.5"]}, "goes by accuracy, which is neither"),
        (
            {"objectives": ["accuracy", LATENCY]},
            "latency_ms is not known before a training ends, so none can be told to be of no use; "
            "{metric: latency_ms, known: true} is measured first",
        ),
        ({"objectives": ["accuracy", {**LATENCY, "known": True}]}, ""),
        ({"objectives": ["accuracy", {**LATENCY, "known": True}, {"metric": "memory_mib", "reference": 10}]}, ""),
        (
            {"objectives": ["accuracy", {"metric": "train_seconds", "reference": 10}]},
            "train_seconds is not known before a training",
        ),
    ],
)
def test_something_must_tell_a_training_to_be_of_no_use(changed, told):
    found = complaints(**SHORT, pruning={}, **changed)
    assert list(found) == (["pruning"] if told else [])
    assert found.get("pruning", "").startswith(told)
