"""Every page by its address; `{name}` is a study's. A page is a module with two functions.

`page(catalogue, query, **parts)` gives a `Page` from what the database holds now; query: what stands behind the address's `?`.
`register(app, catalogue)` adds the callbacks of its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from dash import Dash

from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.components import Page
from moonas.dashboard.pages import architecture, compare, pick, studies, study, trial


class Module(Protocol):
    """What a page's module gives."""

    @property
    def page(self) -> Callable[..., Page]: ...

    @property
    def register(self) -> Callable[[Dash, Catalogue], None]: ...


PAGES: dict[str, Module] = {
    "/": studies,
    "/studies/{name}": study,
    "/studies/{name}/pick": pick,
    "/studies/{name}/trials/{number}": trial,
    "/studies/{name}/networks/{key}": architecture,
    "/compare": compare,
}
