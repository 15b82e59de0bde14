"""How many trials a study will have."""

from __future__ import annotations

from moonas.errors import MoonasError
from moonas.outer.plan import Plan
from moonas.outer.samplers.sampler import make_sampler
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.study.samplers import SAMPLERS

_known: dict[tuple[str, str, str], int | None] = {}


def planned_trials(store: Store, name: str, config_hash: str) -> int | None:
    """Those that its file names, or that its grid has; None where neither tells. Worked out once for every question."""
    key = (store.database.shown, name, config_hash)
    if key not in _known:
        try:
            _known[key] = _planned(store, name)
        except MoonasError:  # such as a plugin that is not installed here: everything else of the study is still shown
            return None
    return _known[key]


def _planned(store: Store, name: str) -> int | None:
    config = study_from(store.study(name).config, f"study {name}")
    if not SAMPLERS[config.sampler.name].finite:
        return config.trials
    return make_sampler(Plan(config)).total
