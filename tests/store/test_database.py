"""Opening, making and upgrading databases, and what is said where that cannot be done."""

import os
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from moonas.errors import NoDatabaseError, SchemaVersionError, StorageError
from moonas.store import database
from moonas.store.address import read_url, without_secrets
from moonas.store.database import connect
from moonas.store.maintenance import upgrade
from moonas.store.store import Store
from moonas.store.tables import Base
from tests.store.conftest import on_files


@pytest.fixture
def fresh_url(url):
    """Of a database of one's own with tables, which may be spoilt."""
    Store.open(url, create=True).close()
    return url


@on_files
def test_an_absent_database_is_refused_and_not_made(url, tmp_path):
    for read_only in (False, True):
        with pytest.raises(NoDatabaseError, match=r"study\.db"):
            Store.open(url, read_only=read_only)
    assert list(tmp_path.iterdir()) == []


@on_files
def test_an_empty_file_counts_as_no_database(url, tmp_path):
    (tmp_path / "study.db").touch()
    with pytest.raises(NoDatabaseError, match="empty"):
        Store.open(url)


def test_a_made_database_opens_again_and_holds_what_was_written(store, study, url):
    with Store.open(url) as again:
        assert again.study("digits") == study


def test_a_path_with_odd_characters_works_in_every_mode(tmp_path):
    url = f"sqlite:///{tmp_path}/50% of # é.db"
    Store.open(url, create=True).close()
    assert (tmp_path / "50% of # é.db").exists()
    with Store.open(url, read_only=True) as store:
        assert store.studies() == []


def test_a_relative_path_stays_the_same_file_after_a_change_of_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store.open("sqlite:///here.db", create=True) as store:
        store.database.engine.dispose()
        monkeypatch.chdir("/")
        assert store.studies() == []


def test_migrations_make_exactly_the_tables_of_the_models(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": database.VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        tables = sa.inspect(connection).get_table_names()
    assert all(name.startswith("moonas_") for name in tables)
    assert len(tables) == 17  # sixteen and Alembic's own


def test_the_known_revisions_are_those_of_the_migration_files():
    from pathlib import Path

    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(database.__file__).with_name("migrations")))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(database.REVISIONS)


def test_a_newer_database_is_refused_naming_both_revisions(fresh_url):
    with Store.open(fresh_url) as store, store.database.write() as session:
        session.execute(sa.text("UPDATE moonas_version SET version_num = '9999'"))
    for open_it in (Store.open, upgrade, lambda url: Store.open(url, create=True), lambda url: Store.open(url, read_only=True)):
        with pytest.raises(SchemaVersionError, match=f"9999.*{database.HEAD}"):
            open_it(fresh_url)


def test_an_older_database_is_refused_with_the_command_that_upgrades_it(fresh_url, monkeypatch):
    monkeypatch.setattr(database, "REVISIONS", (*database.REVISIONS, "9999"))
    monkeypatch.setattr(database, "HEAD", "9999")
    with pytest.raises(SchemaVersionError, match="moonas db upgrade --storage ") as caught:
        Store.open(fresh_url)
    assert without_secrets(read_url(fresh_url)) in str(caught.value)


def test_upgrading_a_current_database_changes_nothing(store, study, url):
    upgrade(url)
    assert store.study("digits") == study


@on_files
def test_upgrading_what_is_not_there_makes_nothing(url, tmp_path):
    with pytest.raises(NoDatabaseError):
        upgrade(url)
    assert list(tmp_path.iterdir()) == []


def test_tables_are_made_all_or_not_at_all(url, monkeypatch):
    run = database._run_migrations

    def run_and_fail(connection):
        run(connection)
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(database, "_run_migrations", run_and_fail)
        with pytest.raises(RuntimeError, match="killed here"):
            Store.open(url, create=True)
    half = connect(url)
    assert sa.inspect(half.engine).get_table_names() == []
    half.engine.dispose()
    with Store.open(url, create=True) as store:
        assert store.studies() == []


def test_several_processes_may_make_the_same_database_at_once(url, tmp_path):
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from moonas.store.store import Store\n"
        "import alembic.command\n"
        "url, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]\n"
        "(folder / f'{name}.ready').touch()\n"
        "while not (folder / 'go').exists(): time.sleep(0.001)\n"
        "with Store.open(url, create=True) as store:\n"
        "    store.create_study(name, {}, schema=1, config_hash='', seed=0, version='')\n"
    )
    names = list("abcdef")
    children = [subprocess.Popen([sys.executable, "-c", script, url, str(tmp_path), name]) for name in names]
    while not all((tmp_path / f"{name}.ready").exists() for name in names):
        assert all(child.poll() is None for child in children)
        time.sleep(0.01)
    (tmp_path / "go").touch()
    assert [child.wait(timeout=60) for child in children] == [0] * len(names)
    with Store.open(url) as store:
        assert sorted(summary.name for summary in store.studies()) == names


def test_a_read_only_store_cannot_write(store, study, url):
    with Store.open(url, read_only=True) as reader:
        assert reader.study("digits") == study
        with pytest.raises(StorageError, match=r"read-?only"):
            reader.add_request(study.id, "pause")
        with pytest.raises(StorageError, match=r"read-?only"):
            reader.acquire(study.id, "host/1/x")


def test_readers_go_on_while_a_writer_is_at_work(store, study, url):
    with store.ledger(study.id) as ledger, ledger.together(), Store.open(url, read_only=True) as reader:
        ledger.add_trial(0, {}, 0)
        assert reader.trials(study.id) == []
    assert len(store.trials(study.id)) == 1


def test_foreign_keys_are_enforced(store, study):
    with store.ledger(study.id) as ledger, pytest.raises(sa.exc.IntegrityError):
        ledger.link(trial_id=77, task_id=78)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: f"sqlite:///{folder}", "is a folder"),
        (lambda folder: f"sqlite:///{folder}/nowhere/study.db", "there is no folder"),
        (lambda folder: "sqlite://", "in memory"),
        (lambda folder: "study.db", "not a database URL"),
        (lambda folder: "mysql://host/db", "'mysql' databases are not supported"),
        (lambda folder: "postgresql+nothing://host/db", "driver 'nothing' is not supported; write postgresql://"),
    ],
)
def test_places_that_cannot_be_used_are_named(make, words, tmp_path):
    with pytest.raises(StorageError, match=words):
        Store.open(make(tmp_path), create=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that refuses files even to root")
def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(StorageError, match=r"/proc/moonas\.db.*unable to open"):
        Store.open("sqlite:////proc/moonas.db", create=True)


@on_files
def test_a_file_that_is_no_database_is_left_alone(url, tmp_path):
    (tmp_path / "study.db").write_bytes(b"name: digits\nseed: 0\n" * 100)
    for create in (False, True):
        with pytest.raises(StorageError, match=r"study\.db.*not a database"):
            Store.open(url, create=create)
    assert (tmp_path / "study.db").read_bytes() == b"name: digits\nseed: 0\n" * 100


def test_another_programs_database_is_refused_unless_moonas_may_move_in(url):
    other = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with other.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE trials (id INTEGER)")
    other.dispose()
    with pytest.raises(StorageError, match=r"holds no moonas studies.*trials"):
        Store.open(url)
    with Store.open(url, create=True) as store:
        assert store.studies() == []


def test_opening_a_database_imports_neither_alembic_nor_numpy_nor_torch(store, url):
    script = (
        "import sys; from moonas.store.store import Store\n"
        f"Store.open({url!r}).close()\n"
        "print(sorted({'alembic', 'mako', 'numpy', 'torch', 'moocore'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_database_clock_agrees_with_this_machines(store, study):
    assert study.created == pytest.approx(time.time(), abs=5.0)
