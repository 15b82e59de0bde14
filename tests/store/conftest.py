"""A study database of either kind, one study in it, and its ledger."""

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


on_files = pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # of tests about what only a file can be or suffer
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


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("template") / "study.db"
    Store.open(f"sqlite:///{path}", create=True).close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Of a database of either kind: with tables for tests that ask for `store`, without for others."""
    wants_tables = "store" in request.fixturenames
    if request.param == "sqlite":
        if wants_tables:
            shutil.copy(request.getfixturevalue("empty_file"), tmp_path / "study.db")
        yield f"sqlite:///{tmp_path / 'study.db'}"
        return
    server = request.getfixturevalue("postgres")
    yield (address := server.take() if wants_tables else server.new())
    if wants_tables:
        server.empty(address)


@pytest.fixture
def store(url):
    with Store.open(url) as store:
        yield store


@pytest.fixture
def plant(store):
    """Run SQL that no method of the store would, without regard to foreign keys."""

    def run(statement):
        with store.database.engine.connect() as connection:
            if store.database.is_server:
                connection.exec_driver_sql("SET session_replication_role = replica")
            else:
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            connection.exec_driver_sql(statement)
            connection.commit()
            connection.invalidate()

    return run


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
