"""The metrics that studies of a database bring with them, whose functions were called elsewhere."""

from __future__ import annotations

from moonas.store.store import Store
from moonas.study.functions import declare_returned


def declare_known_metrics(store: Store) -> None:
    """Make them known before another study is read, so that it cannot contradict them: one process could not read both."""
    for known in store.studies():
        declare_returned(store.study(known.name).config.get("methods"))
