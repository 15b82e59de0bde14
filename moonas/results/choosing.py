"""One network out of all: the best within limits, the knee of the front, or a compromise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from moonas.errors import UsageError, nearest
from moonas.front import choices
from moonas.results.networks import Network, read_archive
from moonas.results.tally import Tally, tally
from moonas.store.records import Place
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
    known: Callable[[], Tally] | None = None,
) -> Network:
    """See `Study.best`. known: gives `tally(study)`; asked only where the front does not hold the answer."""
    if knee and weights is not None:
        raise UsageError("the knee weighs all objectives alike; ask for it or give weights, not both")
    factors = _factors(study, weights or {})
    fitting = _fitting(study, [*_as_bounds(under), *study.config.constraints], known or (lambda: tally(study)))
    points = np.array([minimised(study.config.objectives, values) for values in fitting.values()])
    first = int(points[:, 0].argmin())
    best = choices.knee(points) if knee else first if weights is None else choices.compromise(points, factors)
    place = list(fitting)[best]
    return next(network for network in read_archive(study, [place.architecture]) if network.place == place)


Networks = Mapping[Place, Mapping[str, float]]  # their metrics, the cheapest first


def _fitting(study: Study, bounds: Sequence[Bound], known: Callable[[], Tally]) -> Networks:
    """The networks that meet all bounds, or those of them that none of the others beats. Raises UsageError where there are none."""
    if all(_keeps_to_front(study, bound) for bound in bounds):
        on_front = {network.place: network.values for network in study.front()}
        if fitting := _meeting(bounds, on_front):
            return fitting
    networks = known().values
    if not networks:
        raise UsageError(f"study {study.name!r} has measured nothing yet")
    names = list(next(iter(networks.values())))
    for bound in bounds:
        if bound.metric not in names:
            raise UsageError(f"{bound.metric} is not measured in this study; it has: {', '.join(names)}")
    if not (fitting := _meeting(bounds, networks)):
        asked = " and ".join(map(str, bounds))
        ends = [_span([values[bound.metric] for values in networks.values()], bound.metric) for bound in bounds]
        told = admissions(bounds, list(networks.values()), [place.architecture[:8] for place in networks])
        message = f"no measured network of {study.name!r} meets {asked}; it has {', '.join(dict.fromkeys(ends))}"
        raise UsageError("\n".join([message, *told]))
    return fitting


def _meeting(bounds: Sequence[Bound], networks: Networks) -> Networks:
    return {place: values for place, values in networks.items() if not missed(bounds, values)}


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
