"""One network out of all: the best within limits, the knee of the front, or a compromise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from moonas.errors import UsageError, nearest
from moonas.front import choices
from moonas.results.networks import Network
from moonas.study.bounds import Bound, no_worse_than
from moonas.study.metrics import selectable_metric
from moonas.study.objectives import minimised
from moonas.study.relaxation import admissions, missed

if TYPE_CHECKING:
    from moonas.results.study import Study


def choose(
    study: Study,
    under: Mapping[str, float] | Sequence[Bound] | None,
    knee: bool,
    weights: Mapping[str, float] | None,
    archive: Sequence[Network] | None = None,
) -> Network:
    """See `Study.best`. archive: what `study.archive()` gives, where it is at hand."""
    if knee and weights is not None:
        raise UsageError("the knee weighs all objectives alike; ask for it or give weights, not both")
    factors = _factors(study, weights or {})
    fitting = _fitting(study, [*_as_bounds(under), *study.config.constraints], archive)
    points = np.array([minimised(study.config.objectives, network.values) for network in fitting])
    if knee:
        return fitting[choices.knee(points)]
    return fitting[int(points[:, 0].argmin()) if weights is None else choices.compromise(points, factors)]


def _fitting(study: Study, bounds: Sequence[Bound], archive: Sequence[Network] | None) -> list[Network]:
    """The networks that meet all bounds, or those of them that none of the others beats. Raises UsageError where there are none."""
    on_front = study.front() if archive is None and all(_keeps_to_front(study, bound) for bound in bounds) else ()
    if fitting := [network for network in on_front if not missed(bounds, network.values)]:
        return fitting
    networks = study.archive() if archive is None else archive
    if not networks:
        raise UsageError(f"study {study.name!r} has measured nothing yet")
    for bound in bounds:
        if bound.metric not in networks[0].metrics:
            raise UsageError(f"{bound.metric} is not measured in this study; it has: {', '.join(networks[0].metrics)}")
    fitting = [network for network in networks if not missed(bounds, network.values)]
    if not fitting:
        asked = " and ".join(map(str, bounds))
        ends = [_span([network.values[bound.metric] for network in networks], bound.metric) for bound in bounds]
        told = admissions(bounds, [network.values for network in networks], [network.key[:8] for network in networks])
        message = f"no measured network of {study.name!r} meets {asked}; it has {', '.join(dict.fromkeys(ends))}"
        raise UsageError("\n".join([message, *told]))
    return fitting


def _keeps_to_front(study: Study, bound: Bound) -> bool:
    """Whether the front has a network that meets the bound and is no worse, for each that meets it: so that it need not be sought
    in the whole archive.

    So it is for the study's constraints, and for limits of an objective in its worse direction alone.
    """
    if bound in study.config.constraints:
        return True
    signs = {objective.metric: objective.sign for objective in study.config.objectives}
    other_end = bound.lower if signs.get(bound.metric, 0) > 0 else bound.upper
    return bound.metric in signs and other_end is None


def _factors(study: Study, weights: Mapping[str, float]) -> np.ndarray:
    """A weight for each objective. Raises UsageError."""
    names = [objective.metric for objective in study.config.objectives]
    given = {selectable_metric(name): weight for name, weight in weights.items()}
    for name, weight in given.items():
        if name not in names:
            raise UsageError(f"{name} is no objective of this study{nearest(name, names)}\nIt has: {', '.join(names)}.")
        if not weight >= 0:
            raise UsageError(f"the weight of {name} must be at least 0, not {weight:g}")
    factors = np.array([given.get(name, 1.0) for name in names])
    if not factors.any():
        raise UsageError("at least one objective must have a weight above 0")
    return factors


def _as_bounds(under: Mapping[str, float] | Sequence[Bound] | None) -> list[Bound]:
    if isinstance(under, Mapping):
        return [no_worse_than(metric, value) for metric, value in under.items()]
    return list(under or ())


def _span(values: list[float], metric: str) -> str:
    return f"{metric} from {min(values):,.6g} to {max(values):,.6g}"
