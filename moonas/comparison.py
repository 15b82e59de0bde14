"""Several studies over one box: what each front dominates, and what only it adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from moonas.errors import UsageError
from moonas.front.dominance import non_dominated
from moonas.front.hypervolume import hypervolume
from moonas.outer.archive import Archive
from moonas.results.study import Study
from moonas.study.changes import Change, changes
from moonas.study.metrics import METRICS
from moonas.study.objectives import Objective, minimised


@dataclass(frozen=True)
class Standing:
    """One study among others.

    members: of its front. in_union: those of them that no member of another front dominates. hypervolume: of its front, as a share
    of the common box; exclusive: what the front of all studies together would lose without it. covers: of each other study, by
    name, the share of its members that some member here equals or dominates (the C measure of Zitzler and Thiele 1999,
    doi:10.1109/4235.797969).
    """

    study: str
    members: int
    in_union: int
    hypervolume: float
    exclusive: float
    covers: dict[str, float]


@dataclass(frozen=True)
class Comparison:
    """Fronts of several studies of the same objectives.

    reference, ideal: the corners of the common box, in each metric's own sign: the worst and the best corner that a study has.
    union: hypervolume of all fronts together. differences: what makes the numbers hard to compare, empty where nothing does.
    """

    standings: tuple[Standing, ...]
    union: float
    reference: dict[str, float]
    ideal: dict[str, float]
    differences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(studies: Sequence[Study], anyway: bool = False) -> Comparison:
    """Lay the present fronts of at least two studies over each other, each front under its study's own constraints.

    Raises UsageError where their objectives differ; and, unless `anyway`, where their accuracies were obtained by other protocols
    or on other data, or their costs measured in other ways, naming what differs.
    """
    names = [study.name for study in studies]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UsageError(f"a comparison needs at least two different studies, not {', '.join(names) or 'none'}")
    objectives = studies[0].config.objectives
    for study in studies[1:]:
        if {o.metric for o in study.config.objectives} != {o.metric for o in objectives}:
            told = "; ".join(f"{s.name}: {', '.join(o.metric for o in s.config.objectives)}" for s in (studies[0], study))
            raise UsageError(f"studies of different objectives have no common front: {told}")
    differences = [text for first, other in combinations(studies, 2) for text in _differences(first, other)]
    if differences and not anyway:
        listed = "\n".join(f"  {text}" for text in differences)
        raise UsageError(f"the numbers of these studies do not compare:\n{listed}\nWith --anyway (anyway=True) they are compared.")
    worst, best = _box(studies, objectives)
    fronts = [_points(study, objectives) for study in studies]
    together = np.concatenate(fronts)
    union = hypervolume(together, worst, best)
    standings = []
    for index, (study, front) in enumerate(zip(studies, fronts, strict=True)):
        others = np.concatenate([other for number, other in enumerate(fronts) if number != index])
        standings.append(
            Standing(
                study=study.name,
                members=len(front),
                in_union=int(non_dominated(np.concatenate([front, others]))[: len(front)].sum()),
                hypervolume=hypervolume(front, worst, best),
                exclusive=union - hypervolume(others, worst, best),
                covers={names[n]: _coverage(front, other) for n, other in enumerate(fronts) if n != index and len(other)},
            )
        )
    reference, ideal = (
        {o.metric: float(o.sign * at) + 0.0 for o, at in zip(objectives, corner, strict=True)} for corner in (worst, best)
    )
    return Comparison(tuple(standings), union, reference, ideal, tuple(differences))


def _box(studies: Sequence[Study], objectives: Sequence[Objective]) -> tuple[np.ndarray, np.ndarray]:
    """The worst and the best corner of a box that holds the box of every study."""
    boxes = [Archive(_in_order(study, objectives), (), study.plan.spans) for study in studies]
    return np.max([box.reference for box in boxes], axis=0), np.min([box.ideal for box in boxes], axis=0)


def _in_order(study: Study, objectives: Sequence[Objective]) -> list[Objective]:
    """A study's own objectives, in the order of others on the same metrics."""
    own = {objective.metric: objective for objective in study.config.objectives}
    return [own[objective.metric] for objective in objectives]


def _points(study: Study, objectives: Sequence[Objective]) -> np.ndarray:
    return np.array([minimised(objectives, network.values) for network in study.front()]).reshape(-1, len(objectives))


def _coverage(front: np.ndarray, other: np.ndarray) -> float:
    """The share of `other` that `front` weakly dominates."""
    return float((front[:, None] <= other[None]).all(axis=2).any(axis=0).mean()) if len(front) else 0.0


def _differences(first: Study, other: Study) -> list[str]:
    """What two studies do not have in common of all that their numbers depend on, setting by setting."""
    asked = [METRICS[objective.metric] for objective in first.config.objectives]
    found, paths = list[Change](), list[str]()
    if first.plan.looks_up and other.plan.looks_up:  # whatever the file's data: accuracies are those of a table
        tables = [study.config.protocol.to_json()["table"] or study.config.data.name for study in (first, other)]
        if tables[0] != tables[1]:
            found.append(Change("protocol.table", tables[0], tables[1], "refused"))
    elif first.finds_networks or other.finds_networks:
        paths = ["protocol", "data", "seed", "performance.precision"]  # the seed splits the data
        if first.plan.inherits:
            paths += ["search"]
    if any(metric.load for metric in asked):
        paths += ["measure"]
    if any(metric.predicts for metric in asked):
        paths += ["device_tables"]
    for change in changes(first.config, other.config):
        if any(change.path == path or change.path.startswith((f"{path}.", f"{path}[")) for path in paths):
            found.append(change)
    devices = [study.store.device(study.record.id) for study in (first, other)]
    if any(metric.load for metric in asked) and devices[0] != devices[1]:
        found.append(Change("device", devices[0], devices[1], "refused"))
    return [f"{first.name} -> {other.name}: {change}" for change in found]
