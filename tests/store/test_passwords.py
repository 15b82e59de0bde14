"""Addresses of databases as people write them, and the passwords that may stand in them."""

import os
from pathlib import Path

import pytest
import sqlalchemy as sa

from moonas import api
from moonas.errors import StorageError
from moonas.store.address import read_url, without_secrets
from moonas.store.store import Store
from moonas.worker.local import LocalPool

SECRET = "open sesame/@:#"


@pytest.mark.parametrize(
    ("written", "driver"),
    [
        ("postgresql://host/db", "postgresql+psycopg"),
        ("postgres://host/db", "postgresql+psycopg"),
        ("postgresql+psycopg://host/db", "postgresql+psycopg"),
        ("sqlite:///study.db", "sqlite"),
    ],
)
def test_the_driver_is_found_by_itself(written, driver):
    assert read_url(written).drivername == driver


@pytest.mark.parametrize(
    "written",
    [
        "mysql://ann:sesame@host/db",
        "postgresql//ann:sesame@host/db",
        "postgresql+psycopg2://ann:sesame@host/db",
        "postgresql+psycopg://ann:sesame@[::1]:1/db",
        "postgresql://ann:12/sesame@host/db",  # a / that should be %2F: the rest would be taken for the database
        "postgresql://ann:sesame@host:port/db",
        "postgresql://localhost:1/db?password=sesame&connect_timeout=1",
        "postgresql://localhost:1/db?sslpassword=sesame",
        "sqlite://ann:sesame@/x/y.db",
    ],
)
def test_no_message_about_an_address_repeats_its_password(written):
    for open_it in (Store.open, api.check_database, api.upgrade_database, lambda url: Store.open(url, create=True)):
        with pytest.raises(StorageError) as caught:
            open_it(written)
        assert "sesame" not in str(caught.value)


def test_an_address_is_shown_without_its_secrets():
    url = read_url("postgresql://ann:sesame@host:5433/db?sslmode=require&password=sesame&sslpassword=sesame")
    assert without_secrets(url) == "postgresql+psycopg://ann:***@host:5433/db?sslmode=require"


@pytest.fixture(scope="module")
def guarded(postgres):
    """The URL of a database that lets user `ann` in with her password only, without it; and the URL with it."""
    plain = sa.make_url(postgres.new()).set(username="ann")
    rules = Path(postgres.execute("SHOW hba_file")[0][0])
    if not os.access(rules, os.W_OK):
        pytest.skip("who may enter the server is not ours to say")
    before = rules.read_text()
    quoted = SECRET.replace("'", "''").replace(":", r"\:")
    postgres.execute(f"CREATE USER ann SUPERUSER PASSWORD '{quoted}'")
    rules.write_text("local all ann scram-sha-256\nhost all ann all scram-sha-256\n" + before)
    postgres.execute("SELECT pg_reload_conf()")
    yield plain.set(password=None), plain.set(password=SECRET)
    rules.write_text(before)
    postgres.execute("SELECT pg_reload_conf()")


def text_of(url):
    return url.render_as_string(hide_password=False)


def test_a_password_comes_with_the_address_the_environment_or_a_file(guarded, tmp_path, monkeypatch):
    without, within = map(text_of, guarded)
    passwords = tmp_path / "pgpass"
    passwords.write_text("*:*:*:ann:" + SECRET.replace(":", r"\:") + "\n")
    passwords.chmod(0o600)
    for name in ("PGPASSWORD", "PGPASSFILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StorageError, match="no password supplied"):
        Store.open(without, create=True)
    Store.open(within, create=True).close()
    for name, value in (("PGPASSWORD", SECRET), ("PGPASSFILE", str(passwords))):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert api.list_studies(without) == []


def test_a_wrong_password_is_not_repeated(guarded, monkeypatch):
    wrong = guarded[1].set(password="sesame, open")
    with pytest.raises(StorageError, match="password authentication failed") as caught:
        Store.open(text_of(wrong), create=True)
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(sa.create_engine(read_url(text_of(wrong))))


def test_workers_are_given_no_password(monkeypatch):
    monkeypatch.setenv("MOONAS_STORAGE", "postgresql://ann:sesame@host/db")
    monkeypatch.setenv("PGPASSWORD", "sesame")
    pool = LocalPool(["cpu"])
    try:
        worker = int(pool.ready(0).rpartition("/")[2])
        environment = Path(f"/proc/{worker}/environ").read_bytes()
    finally:
        pool.close()
    assert b"OMP_NUM_THREADS" in environment
    assert b"sesame" not in environment
