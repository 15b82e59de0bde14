"""Pieces of SQL that several modules of the store need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from importlib import import_module
from typing import Any, cast

from sqlalchemy import CursorResult, Delete, Executable, Table, Update, bindparam, select
from sqlalchemy.orm import Session

from moonas.store.tables import Architecture, Base


def columns(record: type[Any], table: Any, without: tuple[str, ...] = (), **elsewhere: Any) -> list[Any]:
    """The columns that fill a record, in the order of its fields: of the same name in `table`, unless said to be elsewhere.

    table: a model, or the columns of a table.
    """
    names = [field.name for field in fields(record) if field.name not in without]
    return [elsewhere[name] if name in elsewhere else getattr(table, name) for name in names]


def table_of(model: type[Base]) -> Table:
    """The plain table behind a model, for statements that need no objects: they cost half as much."""
    return cast(Table, model.__table__)


def run(session: Session, statement: Executable, values: Any = None) -> Any:
    """The result of a statement that needs no objects; the session's own way to do so costs twice as much.

    What the session still holds back is written first.
    """
    session.flush()
    return session.connection().execute(statement, values)


def rows_changed(session: Session, statement: Update | Delete, values: dict[str, Any] | None = None) -> int:
    """Run an update or a deletion; how many rows it found."""
    return cast("CursorResult[Any]", session.execute(statement, values)).rowcount


def insert_unknown(session: Session, model: type[Base], rows: list[dict[str, Any]]) -> None:
    """Insert the rows whose unique columns are new; another study's loop may do the same at this moment."""
    if rows:
        run(session, _unless_there(_dialect(session), model), rows)


def architecture_ids(session: Session, keys: Iterable[str]) -> dict[str, int]:
    """{key: id} of the architectures that are stored."""
    return dict(run(session, _ARCHITECTURE_IDS, {"the_keys": list(keys)}).all())


def insert_or_replace(session: Session, model: type[Base], row: dict[str, Any]) -> None:
    """Insert a row, or overwrite the one with the same primary key."""
    table = table_of(model)
    keys = [column.name for column in table.primary_key]
    statement = _insert(_dialect(session), model).values(row)
    session.execute(
        statement.on_conflict_do_update(index_elements=keys, set_={name: row[name] for name in row if name not in keys})
    )


_ARCHITECTURES = table_of(Architecture)
_ARCHITECTURE_IDS = select(_ARCHITECTURES.c.key, _ARCHITECTURES.c.id).where(
    _ARCHITECTURES.c.key.in_(bindparam("the_keys", expanding=True))
)


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


@cache
def _unless_there(dialect: str, model: type[Base]) -> Executable:
    return _insert(dialect, model).on_conflict_do_nothing()


def _insert(dialect: str, model: type[Base]) -> Any:
    """The dialect's own INSERT, which knows ON CONFLICT; SQLite and PostgreSQL spell it alike."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert(table_of(model))
