"""A study database in a temporary folder, one study in it, and its ledger."""

import shutil

import pytest

from moonas.architecture import Architecture
from moonas.skeleton import Skeleton
from moonas.store.records import EvaluationKey, FrontUpdate, NewCandidate, Place
from moonas.store.store import Store

OPERATIONS = ("skip_connect", "max_pool_3x3", "sep_conv_3x3", "dil_conv_3x3")
SKELETON = Skeleton(channels=8, cells=5, input_shape=(1, 8, 8), classes=10)


def architecture(number):
    """Sixteen different architectures, numbered."""
    first, second = divmod(number, len(OPERATIONS))
    cell = [(2, 0, OPERATIONS[first]), (2, 1, OPERATIONS[second])]
    return Architecture("darts-cnn", {"normal": cell, "reduce": cell}, {"normal": [2], "reduce": [2]})


def candidate(number, **fields):
    return NewCandidate(architecture(number), f"f{number}", SKELETON, params=1000 + number, macs=2000 + number, **fields)


def member(number, accuracy, params):
    return architecture(number).key, SKELETON.key, {"accuracy": accuracy, "params": params}


def front(*members, hypervolume=0.5, cause="trial 0", evaluations=1, protocol="short"):
    placed = [(Place(architecture, skeleton), values) for architecture, skeleton, values in members]
    return FrontUpdate(protocol, placed, hypervolume, cause, evaluations)


def evaluation_key(number, replicate=0, source=""):
    return EvaluationKey(architecture(number).key, SKELETON.key, "digits", "short", replicate, source)


MEASURED = {"device": {"cpu": "x"}, "versions": {"torch": "2"}, "data_checksum": "abc"}


def evaluate(ledger, number, metrics=None, front=None, artifacts=()):
    """Add trial `number`, its one candidate and the finished evaluation of it; gives the trial's id."""
    trial_id = ledger.add_trial(number, {"method": "random"}, 0)
    ledger.add_candidates(trial_id, [candidate(number)])
    task = ledger.add_task("evaluate", f"evaluate-{number}", {"kind": "evaluate"}, [trial_id])
    attempt = ledger.start_attempt(task.id, "slot 0", "cpu:0")
    measured = metrics or {"accuracy": 0.9}
    with ledger.together():
        ledger.finish_evaluation(task.id, attempt, evaluation_key(number), measured, 2.5, artifacts=artifacts, **MEASURED)
        if front is not None:
            ledger.replace_front(front)
    return trial_id


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "study.db"
    Store.open(f"sqlite:///{path}", create=True).close()
    return path


@pytest.fixture
def store(url, tmp_path, empty_database):
    shutil.copy(empty_database, tmp_path / "study.db")
    with Store.open(url) as store:
        yield store


@pytest.fixture
def new_study(store):
    def make(name):
        return store.create_study(name, {"name": name}, schema=1, config_hash="0" * 16, seed=0, version="0.1.0")

    return make


@pytest.fixture
def study(new_study):
    return new_study("digits")


@pytest.fixture
def ledger(store, study):
    with store.ledger(study.id) as ledger:
        yield ledger
