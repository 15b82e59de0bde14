"""The finished trials of a study in columns, which grow by what has been finished since."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import select

from moonas.report import text
from moonas.store.alike import as_text, said_by
from moonas.store.database import Database
from moonas.store.tables import Trial
from moonas.study.budgets import parse_budget


class TrialTable:
    """Rows are trials that have values, in the order of their numbers; columns are made when they are asked for.

    Names of columns: number, state, replicate, seconds, finished; the trial's parameters as it has them, such as method, budget,
    channels and setting.alpha_lr; and its values' metrics.
    """

    def __init__(self, database: Database, study_id: int) -> None:
        self._database, self._study_id = database, study_id
        self._rows: dict[int, tuple[Any, ...]] = {}
        self._last = 0.0  # when the last trial known here was finished
        self._columns: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def refresh(self) -> None:
        """Read the trials that have been finished since; the last of them once more, as others may share their moment."""
        columns = (Trial.number, Trial.state, Trial.replicate, Trial.started, Trial.finished)
        texts = (as_text(Trial.params), as_text(Trial.values))
        query = select(*columns, *texts).where(Trial.study_id == self._study_id, Trial.finished >= self._last, _HAS_VALUES)
        with self._database.connection() as connection:
            rows: list[Any] = list(connection.execute(query))
        params, values = (said_by([row[place] for row in rows]) for place in (5, 6))
        for (number, state, replicate, started, finished, *_), one, other in zip(rows, params, values, strict=True):
            seconds = None if started is None else finished - started
            self._rows[number] = (number, state.value, replicate, seconds, finished, one, other)
            self._last = max(self._last, finished)
        if rows:
            self._rows = dict(sorted(self._rows.items()))
            self._columns = {}

    def numbers(self, name: str) -> np.ndarray:
        """(n,) float64 of a column; NaN where a trial has no number there."""
        return self._column(f"number {name}", lambda: np.array([_number(value) for value in self._raw(name)], dtype=np.float64))

    def words(self, name: str) -> np.ndarray:
        """(n,) text of a column; empty where a trial has nothing there."""
        return self._column(f"word {name}", lambda: np.array([_word(value) for value in self._raw(name)], dtype=object))

    def word_of(self, number: int, name: str) -> str:
        """A trial's entry in a column, as text; empty where it has no values yet."""
        row = self._rows.get(number)
        return _word(_entry(row, name)) if row else ""

    def groups(self, by: str) -> np.ndarray:
        """(n,) text: a column, or "width", the channels and cells together, or "budget", as people read it."""
        if by == "width":
            both = zip(self.words("channels"), self.words("cells"), strict=True)
            return self._column("group width", lambda: np.array([f"{channels}×{cells}" for channels, cells in both], dtype=object))
        if by == "budget":
            found, places = np.unique(self.words(by).astype(str), return_inverse=True)
            told = np.array([text.budget(parse_budget(one)) for one in found], dtype=object)
            return self._column("group budget", lambda: told[places])
        return self.words(by)

    def parameters(self) -> list[str]:
        """Names of the parameters that some trial has, in the order they were met."""
        return self._column("parameters", lambda: self._names(_PARAMS))

    def metrics(self) -> list[str]:
        """Names of the metrics that some trial has."""
        return self._column("metrics", lambda: self._names(_VALUES))

    def _column(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self._columns:
            self._columns[key] = make()
        return self._columns[key]

    def _names(self, place: int) -> list[str]:
        different = {id(row[place]): row[place] for row in self._rows.values()}  # trials that say the same share what they say
        return list(dict.fromkeys(name for said in different.values() for name in said))

    def _raw(self, name: str) -> list[Any]:
        if name in _FIXED:
            place = _FIXED[name]
            return [row[place] for row in self._rows.values()]
        place = _PARAMS if name in self.parameters() else _VALUES
        return [row[place].get(name) for row in self._rows.values()]


_FIXED = {"number": 0, "state": 1, "replicate": 2, "seconds": 3, "finished": 4}
_PARAMS, _VALUES = 5, 6
_HAS_VALUES = Trial.values.is_not(None)


def _entry(row: tuple[Any, ...], name: str) -> Any:
    return row[_FIXED[name]] if name in _FIXED else row[_PARAMS].get(name, row[_VALUES].get(name))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _word(value: Any) -> str:
    return "" if value is None else str(value)
