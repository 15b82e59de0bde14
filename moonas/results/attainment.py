"""What the fronts of the replicates of a study attain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from moonas.errors import UsageError
from moonas.front.attainment import attained
from moonas.study.metrics import METRICS, selectable_metric
from moonas.study.relaxation import missed

if TYPE_CHECKING:
    from moonas.results.study import Study


@dataclass(frozen=True)
class Attainment:
    """What the fronts of a study's replicates reach.

    objectives: names of metrics. surfaces: by share, the corners of what at least that share of the replicates attains, each a row
    of values in the order and in the signs of the objectives; 0.5 is the median front.
    """

    objectives: tuple[str, ...]
    replicates: int
    surfaces: Mapping[float, np.ndarray]


def attainment(study: Study, shares: Sequence[float], objectives: Sequence[str] | None) -> Attainment:
    """See `Study.attainment`."""
    names = tuple(map(selectable_metric, objectives or [objective.metric for objective in study.config.objectives]))
    if len(names) > 3:
        raise UsageError(f"attainment is known for at most three objectives; name some of {', '.join(names)}")
    networks = study.archive()
    if not networks:
        raise UsageError(f"study {study.name!r} has measured nothing yet")
    if absent := [name for name in names if name not in networks[0].metrics]:
        raise UsageError(f"{absent[0]} is not measured in this study; it has: {', '.join(networks[0].metrics)}")
    if wrong := [share for share in shares if not 0 < share <= 1]:
        raise UsageError(f"a share of the replicates lies above 0 and reaches at most 1, not {wrong[0]:g}")
    signs = np.array([1 if METRICS[name].direction == "minimize" else -1 for name in names])
    fronts = []
    replicates = sorted({replicate for network in networks for replicate in network.runs})
    for replicate in replicates:
        runs = [network.runs[replicate] for network in networks if replicate in network.runs]
        values = [[run[name] for name in names] for run in runs if not missed(study.config.constraints, run)]
        fronts.append(signs * np.array(values).reshape(-1, len(names)))
    return Attainment(names, len(replicates), {share: signs * attained(fronts, share) for share in shares})
