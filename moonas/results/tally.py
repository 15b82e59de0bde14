"""What all networks of a study came to, as numbers alone: a fraction of the time and memory that reading the networks takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from moonas.outer.archive import Point
from moonas.outer.candidates import stored_costs
from moonas.outer.identity import measured_key, measurement_of
from moonas.outer.plan import Design
from moonas.outer.pruning import networks_given_up
from moonas.outer.restoring import no_collection
from moonas.outer.steps import measured_values
from moonas.store.alike import TriedRecord, tried
from moonas.store.records import Place
from moonas.study.metrics import METRICS

if TYPE_CHECKING:
    from moonas.results.study import Study


@dataclass(frozen=True)
class Tally:
    """values: the metrics of every measured network, the cheapest first, as `Network.values` has them.

    found: of each decoding of one of them, in their order, the id of its trial, the network, and whether it was the primary one.
    trials: all of the study, by their ids.
    """

    values: Mapping[Place, Mapping[str, float]]
    found: list[tuple[int, Place, bool]]
    trials: Mapping[int, TriedRecord]


def tally(study: Study) -> Tally:
    """Read the whole study once."""
    with no_collection():
        return _tally(study)


def _tally(study: Study) -> Tally:
    plan, store, study_id = study.plan, study.store, study.record.id
    trials = tried(store.database, study_id)
    designs: dict[int, Design] = {}  # by the object that the parameters are: trials of the same ones share it
    known, device = store.measurements(study_id), store.device(study_id)
    given_up = networks_given_up(store, study_id, plan)
    points: dict[Place, Point] = {}
    decoded: list[tuple[int, Place, bool]] = []
    read = store.candidates if plan.config.device_tables else store.decoded  # the tables speak of genotypes
    for candidate in read(study_id):
        trial = trials[candidate.trial_id]
        if (design := designs.get(id(trial.params))) is None:
            design = designs[id(trial.params)] = Design.from_params(trial.params)
        key = measurement_of(plan, candidate, trial, design)
        place = Place(candidate.architecture, candidate.skeleton, plan.recipe_of(key.protocol))
        decoded.append((candidate.trial_id, place, candidate.origin == "primary"))
        on_device = known.get(measured_key(plan, *place[:2], device)) if device else None
        if key not in known or place in given_up or (plan.measured and on_device is None):
            continue
        if place not in points:
            points[place] = Point(stored_costs(plan, candidate) | (measured_values(plan, on_device) if on_device else {}))
        points[place].evaluations[key] = known[key]
    values = {place: {name: value for name, value in point.metrics().items() if name in METRICS} for place, point in points.items()}
    rising = ["params", *(objective.metric for objective in study.config.objectives[1:])]
    order = sorted(values, key=lambda place: (*(values[place].get(name, 0.0) for name in rising), *place))
    return Tally({place: values[place] for place in order}, [one for one in decoded if one[1] in values], trials)
