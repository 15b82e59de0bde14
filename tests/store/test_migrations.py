"""Databases of every schema there was, opened by this version after an upgrade; `fixtures/make.py` made them."""

import gzip
from pathlib import Path

import pytest
import sqlalchemy as sa

from moonas import api
from moonas.errors import SchemaVersionError
from moonas.report.collect import report_data
from moonas.report.html import render
from moonas.results.study import Study
from moonas.store import database
from moonas.store.database import connect
from moonas.store.states import StudyState, TrialState
from moonas.store.store import Store
from tests.outer.fakes import FakePool, drive, small_study
from tests.store.fixtures.make import BROKEN

FIXTURES = {path.name.removesuffix(".db.gz"): path for path in Path(__file__).with_name("fixtures").glob("*.db.gz")}


@pytest.fixture(params=sorted(FIXTURES))
def revision(request):
    return request.param


@pytest.fixture
def old_url(url, revision, tmp_path):
    """The frozen database of a revision, in either kind of database."""
    frozen = tmp_path / "frozen.db"
    frozen.write_bytes(gzip.decompress(FIXTURES[revision].read_bytes()))
    if url.startswith("sqlite"):
        return f"sqlite:///{frozen}"
    copy_rows(sa.create_engine(f"sqlite:///{frozen}"), connect(url), revision)
    return url


def copy_rows(source, target, revision):
    """Make the tables of a revision on a server, and fill them with the rows of a file."""
    with source.connect() as old, target.engine.begin() as new:
        database._run_migrations(new, revision)
        tables = sa.MetaData()
        tables.reflect(old)
        there = sa.MetaData()
        there.reflect(new)
        for table in tables.sorted_tables:
            rows = [dict(row) for row in old.execute(sa.select(table)).mappings()]
            if rows and table.name != database.VERSION_TABLE:
                new.execute(there.tables[table.name].insert(), rows)
            if "id" in table.columns and isinstance(table.columns["id"].type, sa.Integer) and rows:
                new.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {max(r['id'] for r in rows)})")
    source.dispose()
    target.engine.dispose()


def test_every_schema_before_this_one_is_frozen():
    assert set(database.REVISIONS[:-1]) <= set(FIXTURES) <= set(database.REVISIONS)


def test_a_database_of_any_schema_is_read_wholly_after_an_upgrade(old_url, revision, tmp_path):
    if revision != database.HEAD:
        with pytest.raises(SchemaVersionError, match=f"revision {revision}.*moonas db upgrade"):
            api.list_studies(old_url)
    api.upgrade_database(old_url)
    complete, broken = api.list_studies(old_url)
    assert (complete.name, complete.state, complete.trials) == ("small", StudyState.COMPLETE, {TrialState.COMPLETE: 12})
    assert (broken.name, broken.state) == ("broken", StudyState.RUNNING)
    study = api.load_study("small", old_url)
    with Store.open(f"sqlite:///{tmp_path}/new.db", create=True) as store:
        drive(store, small_study(), FakePool())
        now = Study(store, "small")
        assert [member.to_json() for member in study.front()] == [member.to_json() for member in now.front()]
        assert [(trial.number, trial.params, trial.values) for trial in study.trials()] == [
            (trial.number, trial.params, trial.values) for trial in now.trials()
        ]
        assert [step.hypervolume for step in study.front_history()] == [step.hypervolume for step in now.front_history()]
    assert len(render(report_data(study))) > 10_000
    assert not any(study.store.mixtures(task.id) for task in study.store.tasks(study.record.id)), "nothing was said of them then"
    study.store.close()
    assert api.check_database(old_url) == [
        "study 'broken': 1 tasks are RUNNING but nobody drives the study; moonas resume broken goes on with them"
    ]


def test_an_unfinished_study_of_any_schema_goes_on_after_an_upgrade(old_url, tmp_path):
    api.upgrade_database(old_url)
    with Store.open(f"sqlite:///{tmp_path}/new.db", create=True) as new, Store.open(old_url) as store:
        whole, rest = FakePool(slots=1), FakePool(slots=1)
        drive(new, BROKEN, whole)
        assert drive(store, store.study("broken").config, rest) is StudyState.COMPLETE
        assert len(rest.started) < len(whole.started)
        fronts = [[member.to_json() for member in Study(one, "broken").front()] for one in (store, new)]
        assert fronts[0] == fronts[1]
    assert api.check_database(old_url) == []
