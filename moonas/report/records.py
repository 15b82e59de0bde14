"""What a report draws from: frozen records that hold no session and need no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from moonas.architecture import Architecture
from moonas.infeasible import Infeasibility
from moonas.skeleton import Skeleton
from moonas.specs import Bounds
from moonas.study.metrics import COSTS, METRICS


@dataclass(frozen=True, kw_only=True)
class ObjectiveInfo:
    """One objective. name: the metric's; label and unit: how people read it."""

    name: str
    label: str
    direction: Literal["maximize", "minimize"]
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Value:
    """A metric, in its own sign. error: standard error of the mean over replicates, None where there was one."""

    value: float
    error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """One evaluated network: an architecture at one final skeleton.

    trial, method, budget: of the first trial that proposed it; budget None where it had none.
    origin: "primary" where a trial decoded it at its budget, "extra" for a neighbour on the decoded front.
    replicates: evaluations behind the means in `metrics`, which hold every known cost.
    settings: those of its training that the study varies. recipe: what tells that training from others, empty where nothing varies.
    """

    key: str
    architecture: Architecture
    skeleton: Skeleton
    on_front: bool
    trial: int
    method: str
    budget: Bounds | None
    origin: Literal["primary", "extra"] = "primary"
    replicates: int = 1
    metrics: Mapping[str, Value]
    settings: Mapping[str, Any] = field(default_factory=dict)
    recipe: str = ""

    @property
    def id(self) -> str:
        """Unique within a study, also where one architecture stands at several widths or settings; fit for an HTML id."""
        recipe = f"-{self.recipe.rpartition('-')[2]}" if self.recipe else ""
        return f"network-{self.architecture.key}-{self.skeleton.key[:6]}{recipe}"


@dataclass(frozen=True, kw_only=True)
class BudgetInfo:
    """One bound that the study asks for. text: as its file has it, such as `10%`; lower, upper: None where open.

    required: a constraint, which every member of the front meets, and no budget of some trials.
    """

    text: str
    metric: str
    lower: float | None = None
    upper: float | None = None
    required: bool = False


@dataclass(frozen=True, kw_only=True)
class HypervolumeStep:
    """The front after so many evaluations. seconds: device time until then, None where it was not kept."""

    evaluations: int
    hypervolume: float
    cause: str
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrialInfo:
    """One trial. values: metrics of the architecture it decoded at its budget; empty until there are any."""

    number: int
    state: str
    method: str
    budget: Bounds | None
    replicate: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    error: str | None = None


Corner = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Band:
    """What the replicates of a study alone attain in two metrics, x and y: corners of surfaces, in the metrics' own signs.

    easy: attained by a quarter of the replicates; median: by half of them; hard: by three quarters.
    better: for each of the two, the builtin `min` or `max` that picks its better value.
    """

    replicates: int
    easy: tuple[Corner, ...]
    median: tuple[Corner, ...]
    hard: tuple[Corner, ...]
    better: tuple[Any, Any]


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """A whole study, as the report shows it.

    created: seconds since the epoch. version: of moonas; versions: of the other packages and the device.
    settings: the resolved study file. reference: the hypervolume's worst value of each objective, in the metric's own sign.
    device_seconds: all attempts together; None where it is not known.
    bands: by (x, y), for the pairs of metrics that are drawn; none where there are no two replicates. knee: id of the front's knee,
    empty where the front has too few members for one. infeasibility: what keeps the front empty, where something does.
    """

    name: str
    state: str
    created: float
    version: str
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    objectives: tuple[ObjectiveInfo, ...]
    points: tuple[Point, ...] = ()
    budgets: tuple[BudgetInfo, ...] = ()
    history: tuple[HypervolumeStep, ...] = ()
    trials: tuple[TrialInfo, ...] = ()
    reference: Mapping[str, float] = field(default_factory=dict)
    device_seconds: float | None = None
    bands: Mapping[tuple[str, str], Band] = field(default_factory=dict)
    knee: str = ""
    infeasibility: Infeasibility | None = None

    @cached_property
    def members(self) -> tuple[Point, ...]:
        """The front, cheapest first (by the first known cost)."""
        cost = self.known_costs[0] if self.known_costs else None
        members = [point for point in self.points if point.on_front]
        return tuple(sorted(members, key=lambda p: (p.metrics[cost].value if cost else 0, p.trial, p.id)))

    @cached_property
    def known_costs(self) -> tuple[str, ...]:
        """Measured metrics that are exact before any training: parameters, multiply-adds, then others by name."""
        measured = {name for point in self.points for name in point.metrics}
        return tuple(name for name in dict.fromkeys((*COSTS, *METRICS)) if name in measured and METRICS[name].known)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """Every method of the study, in alphabetical order, which settles colours and symbols."""
        return tuple(sorted({point.method for point in self.points} | {trial.method for trial in self.trials}))

    @property
    def main(self) -> ObjectiveInfo:
        """The first maximised objective, else the first."""
        return next((objective for objective in self.objectives if objective.direction == "maximize"), self.objectives[0])
