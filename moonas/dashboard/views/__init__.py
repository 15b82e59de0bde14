"""What a study's page shows behind its tabs, each worked out when it is opened.

A view is a module with a `TITLE`, `layout(live)`, which gives its parts, and `register(app, catalogue)`, which fills and moves
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from dash import Dash

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.live import LiveStudy
from moonas.dashboard.views import budgets, events, front, methods, parameters, trials, volume, workers


class View(Protocol):
    """What a view's module gives."""

    TITLE: str

    @property
    def layout(self) -> Callable[[LiveStudy], list[Any]]: ...

    @property
    def register(self) -> Callable[[Dash, Catalogue], None]: ...


VIEWS: dict[str, View] = {
    "front": front,
    "hypervolume": volume,
    "methods": methods,
    "budgets": budgets,
    "parameters": parameters,
    "trials": trials,
    "workers": workers,
    "events": events,
}
