"""What a study is going to do, worked out from its file alone: spaces, skeletons, exact costs, budgets and which of them fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from math import isfinite
from typing import Any

from moonas.architecture import Architecture
from moonas.errors import ArchitectureError, InfeasibleError, Problem, SkeletonError, StudyFileError
from moonas.seeds import canonical_json, digest
from moonas.skeleton import Skeleton
from moonas.spaces.costs import CostTable, cost_table, total_in
from moonas.spaces.decode import Decoder
from moonas.spaces.parameters import architecture_of
from moonas.spaces.relaxed import RelaxedCosts
from moonas.spaces.space import Space, make_space
from moonas.specs import Bounds, Device, EvaluateSpec, MeasureSpec, Predicted, RerankSpec, SearchSpec, Settings
from moonas.study.budgets import budget_text, parse_budget
from moonas.study.handlers import HANDLERS
from moonas.study.metrics import ADDITIVE, is_measured
from moonas.study.objectives import best_value, worst_value
from moonas.study.protocols import PROTOCOLS
from moonas.study.schema import StudyConfig
from moonas.study.validation import plain

Size = tuple[int, int]  # (channels, cells) of a final skeleton


@dataclass(frozen=True)
class Design:
    """The parameters of one trial, apart from its replicate.

    method: label of a method variant. settings: a value for each of its open settings. choices: of a trial whose architecture the
    sampler names, as `spaces.parameters` has them. A named architecture has no budget.
    """

    method: str
    budget: Bounds
    channels: int
    cells: int
    settings: Mapping[str, Any]
    choices: Mapping[str, str] = field(default_factory=dict)

    def to_params(self) -> dict[str, Any]:
        """As stored with the trial: flat JSON."""
        fixed = {"method": self.method, "budget": budget_text(self.budget), "channels": self.channels, "cells": self.cells}
        return {**fixed, **_prefixed("setting.", self.settings), **_prefixed("choice.", self.choices)}

    @cached_property
    def key(self) -> str:
        """What tells it from all others of its study."""
        return canonical_json(self.to_params())

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Design:
        parts: dict[str, dict[str, Any]] = {"setting": {}, "choice": {}}
        for name, value in params.items():
            kind, dot, rest = name.partition(".")
            if dot:
                parts[kind][rest] = value
        budget = parse_budget(params["budget"])
        return cls(params["method"], budget, params["channels"], params["cells"], parts["setting"], parts["choice"])


class Plan:
    """A study's file with everything that follows from it; raises StudyFileError where it cannot be carried out.

    sizes: the open widths and depths. budgets: resolved, in the order written. pairs: every (budget, size) that some architecture
    meets. left_out: those that none meets, with the reason.
    """

    def __init__(self, config: StudyConfig, source: str = "study") -> None:
        self.config = config
        self.space: Space = make_space(config.space.to_json())
        self.sizes: list[Size] = list(config.final.sizes())
        self._check_skeletons(source)
        self._check_device_tables(source)
        self.decoders = {size: Decoder(self.space, self.table(size)) for size in self.sizes}
        self.budgets = config.budgets.resolve(self.spans)
        self.left_out: list[tuple[Bounds, Size, str]] = []
        self._identities: dict[int | None, str] = {}  # by rung, of the methods that leave the protocol as it is
        self.pairs = [(budget, size) for budget, size in product(self.budgets, self.sizes) if self._fits(budget, size)]
        self._check_budgets(source)
        self._check_relaxed(source)
        self._check_references(source)
        self._check_fixed(source)

    @cached_property
    def search_skeleton(self) -> Skeleton:
        return self.config.search.skeleton(self.space.name, self.config.input_shape, self.config.classes)

    @cached_property
    def inherits(self) -> bool:
        """Whether accuracy is measured in the search network, with the weights of a search."""
        return PROTOCOLS[self.config.protocol.name].skeleton == "search"

    @cached_property
    def trains(self) -> bool:
        """Whether accuracy is measured in a network of its own, trained from scratch."""
        return PROTOCOLS[self.config.protocol.name].trains

    @cached_property
    def keeps_weights(self) -> bool:
        """Whether anything is going to be measured with the weights that a search leaves."""
        return self.inherits or self.config.decode.rerank > 1 or any(method.entry.draws for method in self.config.methods)

    @cached_property
    def looks_up(self) -> bool:
        """Whether accuracy stands in a table."""
        return PROTOCOLS[self.config.protocol.name].look_up is not None

    @cached_property
    def instant(self) -> bool:
        """Whether no task needs torch: accuracy stands in a table, no method searches and nothing is measured."""
        return self.looks_up and not self.measured and not any(method.entry.searches for method in self.config.methods)

    @cached_property
    def protocol_identity(self) -> str:
        """That of the study's protocol."""
        return self.identity_of(self.config.protocol.to_json())

    def identity_of(self, protocol: Mapping[str, Any]) -> str:
        """Name and a hash over all settings, which skeleton is measured, not its width (one front spans all widths), and bf16."""
        precision = self.config.performance.precision
        further = [precision] * (precision != "fp32") + ["timed"] * self.timed
        return f"{protocol['name']}-{digest([dict(protocol), PROTOCOLS[protocol['name']].skeleton, *further], 8)}"

    @cached_property
    def timed(self) -> bool:
        """Whether the study asks how long training takes."""
        return "train_seconds" in [*(o.metric for o in self.config.objectives), *(c.metric for c in self.config.constraints)]

    @cached_property
    def rungs(self) -> tuple[int, ...]:
        """Epochs of the trainings that come before the protocol itself."""
        return self.config.promotion.epochs if self.config.promotion else ()

    def protocol(self, design: Design, rung: int | None = None) -> dict[str, Any]:
        """The protocol that a trial's architectures are measured by, as a spec carries it.

        rung: one of `rungs`; the protocol itself where it is their number, or absent.
        """
        whole = {**self.config.protocol.to_json(), **self.config.method(design.method).recipe(design.settings)}
        return whole if rung is None or rung == len(self.rungs) else {**whole, "epochs": self.rungs[rung]}

    def recipe(self, design: Design) -> str:
        """What tells a trial's training from others of the same network: its protocol's identity, empty where it is the study's."""
        return self.recipe_of(self.identity(design))

    def recipe_of(self, identity: str) -> str:
        """The same, by the identity of the protocol."""
        return "" if identity == self.protocol_identity else identity

    def identity(self, design: Design, rung: int | None = None) -> str:
        """That of `protocol(design, rung)`."""
        if self.config.method(design.method).recipe(design.settings):
            return self.identity_of(self.protocol(design, rung))
        if rung not in self._identities:
            self._identities[rung] = self.identity_of(self.protocol(design, rung))
        return self._identities[rung]

    @cached_property
    def data_identity(self) -> str:
        """Name and a hash over the settings and the split."""
        return f"{self.config.data.name}-{digest([self.config.data.to_json(), self.config.seed], 8)}"

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """The measured metrics that the study asks for: objectives, constraints and what it wants reported besides."""
        asked = [*(o.metric for o in self.config.objectives), *(c.metric for c in self.config.constraints)]
        return tuple(sorted({name for name in asked if is_measured(name)} | set(self.config.measure.metrics)))

    @cached_property
    def measures_first(self) -> bool:
        """Whether networks are measured before they are trained: for rungs, or where such an objective is said to be known."""
        return bool(self.rungs) or any(o.known and is_measured(o.metric) for o in self.config.objectives)

    @cached_property
    def measure_settings(self) -> dict[str, Any]:
        """How measured metrics are come by, as a spec carries it."""
        settings = self.config.to_json()["measure"]
        return {name: settings[name] for name in ("batch", "warmups", "repeats")}

    @cached_property
    def measure_identity(self) -> str:
        """Name and a hash over the settings and what is measured together."""
        return f"measure-{digest([self.measured, self.measure_settings], 8)}"

    def final_skeleton(self, size: Size) -> Skeleton:
        return self.config.final.skeleton(*size, self.space.name, self.config.input_shape, self.config.classes)

    def predicted(self, skeleton: Skeleton) -> Predicted:
        """The columns that the study's device tables have at a final skeleton, by the metric they give."""
        columns = {table.name: table.column(skeleton) for table in self.config.device_tables}
        return {name: plain(column) for name, column in columns.items() if column is not None}

    def table(self, size: Size) -> CostTable:
        """Exact and predicted costs of every choice at the final skeleton of `size`."""
        skeleton = self.final_skeleton(size)
        return cost_table(self.space, skeleton, self.predicted(skeleton))

    def costs(self, architecture: Architecture, skeleton: Skeleton) -> dict[str, int]:
        """What is known of a network before anything is run: exact costs, and those of the device tables; of no network nothing."""
        if not self.space.groups:
            return {}
        table = self.decoders[skeleton.channels, skeleton.cells].choices.table
        return total_in(table, self.space, architecture)

    def architecture(self, design: Design) -> Architecture:
        """The architecture that a design names. Raises ArchitectureError where the space does not contain it."""
        fixed = self.config.method(design.method).fixed
        if not fixed:
            return architecture_of(self.space, design.choices)
        architecture = Architecture.from_text(fixed, self.space.name)
        self.space.check(architecture)
        return architecture

    def known_costs(self, design: Design) -> dict[str, int]:
        """`costs` of the architecture that a design names."""
        return self.costs(self.architecture(design), self.final_skeleton((design.channels, design.cells)))

    @cached_property
    def spans(self) -> dict[str, tuple[int, int]]:
        """The smallest and largest reachable value of each cost that adds up, over all open widths and depths."""
        ranges = [decoder.reachable() for decoder in self.decoders.values()]
        return {metric: (min(r[metric][0] for r in ranges), max(r[metric][1] for r in ranges)) for metric in ranges[0]}

    def bounds(self, budget: Bounds) -> Bounds:
        """A budget together with the study's constraints on costs that add up: what every architecture of a trial obeys."""
        merged = {metric: dict(bound) for metric, bound in budget.items()}
        for constraint in self.config.constraints:
            if constraint.metric in ADDITIVE:
                bound = merged.setdefault(constraint.metric, {})
                if constraint.lower is not None:
                    bound["lower"] = max(int(-(-constraint.lower // 1)), bound.get("lower", 0))
                if constraint.upper is not None:
                    bound["upper"] = min(int(constraint.upper), bound.get("upper", int(constraint.upper)))
        return merged

    def designs(self, settings_of: Mapping[str, Sequence[Mapping[str, Any]]]) -> Iterator[Design]:
        """Every method with each of its given settings, at every fitting (budget, size); a named architecture has no budget."""
        for method in self.config.methods:
            pairs: list[tuple[Bounds, Size]] = [({}, size) for size in self.sizes] if method.named else self.pairs
            for settings in settings_of[method.label]:
                for budget, (channels, cells) in pairs:
                    yield Design(method.label, budget, channels, cells, settings)

    def search_spec(self, design: Design, replicate: int, start: Settings | None = None) -> SearchSpec:
        """The search that serves a trial; equal for all trials that can share it. start: see `SearchSpec`."""
        config, method = self.config, self.config.method(design.method)
        final = self.final_skeleton((design.channels, design.cells)) if method.uses_budget else None
        return SearchSpec(
            seed=config.seed,
            replicate=replicate,
            data=config.data.to_json(),
            space=config.space.to_json(),
            skeleton=self.search_skeleton,
            method=method.spec(design.settings, continued=start is not None),
            handler=method.handler.to_json(),
            final=final,
            budget=self.bounds(design.budget) if final else None,
            predicted=self.predicted(final) or None if final else None,
            start=start,
            health=config.to_json()["health"],
            performance=config.performance.spec(),
            threads=config.workers.threads_per_task,
        )

    def evaluate_spec(
        self,
        architecture: Architecture,
        skeleton: Skeleton,
        replicate: int,
        protocol: Mapping[str, Any],
        search: SearchSpec | None = None,
        weights: str | None = None,
    ) -> EvaluateSpec:
        """The measurement of one architecture by the protocol of its trial.

        skeleton: the final one, in whose terms costs are reported; inherited accuracy is measured in the search network.
        search: None where there was none. weights: URL of those it left. Both count only for protocols that measure the search
        network.
        """
        config = self.config
        return EvaluateSpec(
            seed=config.seed,
            replicate=replicate,
            data=config.data.to_json(),
            space=config.space.to_json(),
            architecture=architecture,
            skeleton=self.search_skeleton if self.inherits else skeleton,
            protocol=protocol,
            timed=self.timed,
            source=search.key if search and self.inherits else "",
            weights=weights if self.inherits else None,
            performance=config.performance.spec(),
            threads=config.workers.threads_per_task,
        )

    def rerank_spec(self, search: SearchSpec, architectures: Sequence[Architecture], weights: str | None) -> RerankSpec:
        """The comparison of a trial's shortlist by inherited accuracy. weights: URL of those of `search`."""
        return RerankSpec(search=search, architectures=tuple(architectures), weights=weights)

    def measure_spec(self, architecture: Architecture, skeleton: Skeleton, device: Device | None) -> MeasureSpec:
        """The measurement of one architecture on a device; without one, a first look at whichever device it runs on."""
        return MeasureSpec(
            architecture=architecture,
            skeleton=skeleton,
            metrics=self.measured,
            settings=self.measure_settings,
            device=device,
            threads=self.config.workers.threads_per_task,
        )

    def _fits(self, budget: Bounds, size: Size) -> bool:
        try:
            self.decoders[size].check(self.bounds(budget))
        except InfeasibleError as error:
            self.left_out.append((budget, size, str(error)))
            return False
        return True

    def _check_skeletons(self, source: str) -> None:
        problems = []
        for path, make in [("search", lambda: self.search_skeleton)] + [
            ("final", lambda size=size: self.final_skeleton(size)) for size in self.sizes
        ]:
            try:
                self.space.cells(make())
            except SkeletonError as error:
                problems.append(Problem(path, str(error).removeprefix("skeleton: ")))
        for index, method in enumerate(self.config.methods if not problems else ()):
            for deeper in method.values("deepen"):
                try:
                    self.space.cells(replace(self.search_skeleton, cells=self.search_skeleton.cells + deeper))
                except SkeletonError as error:
                    problems.append(Problem(f"methods[{index}].deepen", str(error).removeprefix("skeleton: ")))
        if problems:
            raise StudyFileError(source, list(dict.fromkeys(problems)))

    def _check_relaxed(self, source: str) -> None:
        """A handler that works on expected costs must be able to bring them within every budget that architectures meet."""
        reasons: list[str] = []
        methods = [index for index, method in enumerate(self.config.methods) if HANDLERS[method.handler.name].relaxes]
        for budget, size in self.pairs if methods else ():
            try:
                RelaxedCosts.of(self.space, self.table(size)).check(self.bounds(budget))
            except InfeasibleError as error:
                reasons.append(f"{error} (at {size[0]} channels and {size[1]} cells)")
        if reasons:
            message = f"cannot bring expected costs within every budget: {'; '.join(reasons)}"
            raise StudyFileError(source, [Problem(f"methods[{index}].handler", message) for index in methods])

    def _check_device_tables(self, source: str) -> None:
        """Every device table must cover every size, edge and operation."""
        problems = []
        for index, table in enumerate(self.config.device_tables):
            for size in self.sizes:
                skeleton = self.final_skeleton(size)
                exact, column = cost_table(self.space, skeleton).edges, table.column(skeleton)
                if column is None:
                    problem = f"was not fitted at the study's final skeleton {skeleton.to_json()}"
                elif _rows(column.edges) != _rows(exact):
                    problem = f"does not hold one number per edge and operation of {', '.join(exact)}"
                else:
                    continue
                problems.append(Problem(f"device_tables[{index}]", problem))
        if problems:
            raise StudyFileError(source, problems)

    def _check_fixed(self, source: str) -> None:
        """The architecture that a method's file names must be one of the space."""
        problems = []
        for index, method in enumerate(self.config.methods):
            if method.fixed:
                try:
                    self.space.check(Architecture.from_text(method.fixed, self.space.name))
                except ArchitectureError as error:
                    problems.append(Problem(f"methods[{index}].architecture", str(error)))
        if problems:
            raise StudyFileError(source, problems)

    def _check_references(self, source: str) -> None:
        """Every objective needs a box for the hypervolume: a worst value that is worse than the best one."""
        problems = []
        for index, objective in enumerate(self.config.objectives):
            worst, best = worst_value(objective, self.spans), best_value(objective, self.spans)
            if worst is None:
                problems.append(
                    Problem(f"objectives[{index}]", f"{objective.metric} needs a `reference`: the worst value that counts")
                )
            elif not isfinite(best):
                problems.append(Problem(f"objectives[{index}]", f"{objective.metric} needs a `best`: the best value there can be"))
            elif not worst > best:
                ends = f"{objective.sign * worst:g} is no worse than {objective.sign * best:g}"
                problems.append(Problem(f"objectives[{index}].reference", f"{ends}, the best that {objective.metric} can be"))
        if problems:
            raise StudyFileError(source, problems)

    def _check_budgets(self, source: str) -> None:
        reachable = {budget_text(budget) for budget, _ in self.pairs}
        problems = []
        for budget in self.budgets:
            if budget_text(budget) not in reachable:
                reasons = {reason for other, _, reason in self.left_out if other == budget}
                problems.append(Problem("budgets" if budget else "constraints", "; ".join(sorted(reasons))))
        if problems:
            raise StudyFileError(source, problems)


def _prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in values.items()}


def _rows(edges: Mapping[str, Any]) -> dict[str, list[int]]:
    """The lengths of all rows, by group."""
    return {group: [len(row) for row in rows] for group, rows in edges.items()}
