"""Optuna's samplers by name, over the parameters of a study.

Akiba et al., KDD 2019, doi:10.1145/3292500.3330701. The trials of the Optuna study are the draws of ours, by the same numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.parameters import Parameters
from moonas.outer.samplers.sampler import ENQUEUED, Draw, History
from moonas.seeds import stream
from moonas.study.ranges import Range

TRIES = 1000  # draws until one is a design that keeps to the constraints, as far as they are known
LEARNED_TRIES = 10  # how many of them are the sampler's own, where each costs a look at all trials; the others are random
CLASSES = {
    "random": "RandomSampler",
    "tpe": "TPESampler",
    "nsga2": "NSGAIISampler",
    "nsga3": "NSGAIIISampler",
    "gp": "GPSampler",
    "qmc": "QMCSampler",
}
SHARED = "_search_space"  # where Optuna's samplers keep which parameters all trials have; it hangs on no order of the trials
CONSTRAINT = "violation"  # the one constraint that Optuna is told: met at 0


class OptunaSampler:
    """An in-memory Optuna study, kept from ask to ask, or built from the history where there is none yet: the asks are the same.

    For that, a sampler object lives for one ask, seeded by (study seed, ask index), `qmc` by the study's seed alone; and what an
    ask leaves in the system attributes of the Optuna trial and study is stored with the draw: `{"trial": {...}, "study": {...}}`.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.parameters = plan, Parameters(plan)
        self._study: Any = None
        self._states: list[str] = []  # of the trials of that study
        self._designs: list[str] = []  # and their keys
        self._seen = 0  # how many of the history's changes it knows

    def propose(self, history: History, index: int) -> tuple[Design, Mapping[str, Any]]:
        """A design drawn until it fits; of those that miss a constraint, whatever is drawn, the one that misses it least."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = self._follow(history)
        study.sampler, last = self._sampler(index), study.sampler
        if type(last) is type(study.sampler) and hasattr(last, SHARED):  # worked out from every trial anew it would be the same
            setattr(study.sampler, SHARED, getattr(last, SHARED))
        before = dict(study._storage.get_study_system_attrs(study._study_id))
        trial = study.ask()
        design = self._draw(trial, index)
        for name, value in self._open_values(design).items():
            distribution = self._distributions[name]
            trial.storage.set_trial_param(trial._trial_id, name, distribution.to_internal_repr(value), distribution)
        self._states.append("RUNNING")
        self._designs.append(design.key)
        after = study._storage.get_study_system_attrs(study._study_id)
        left = {
            "trial": dict(trial.storage.get_trial(trial._trial_id).system_attrs),
            "study": {name: value for name, value in after.items() if before.get(name) != value},
        }
        return design, {part: attributes for part, attributes in left.items() if attributes}

    def _draw(self, trial: Any, index: int) -> Design:
        """Values for every parameter, as `trial` would suggest them, but drawn again, for the same trial, until they fit."""
        import optuna

        study, sampler = trial.study, trial.study.sampler
        blank = trial.storage.get_trial(trial._trial_id)
        space = sampler.infer_relative_search_space(study, blank)
        own = TRIES if self.plan.config.sampler.name in ("random", "qmc") else LEARNED_TRIES

        def tries() -> Iterator[tuple[Design, Design]]:
            drawing = sampler
            for tried in range(TRIES):
                if tried == own:
                    drawing = optuna.samplers.RandomSampler(seed=self._seed(index, "again"))
                together = drawing.sample_relative(study, blank, space) if self._distributions else {}
                design = self.parameters.design(partial(self._choose, study, drawing, blank, together))
                if design is not None:
                    yield design, design

        return self.parameters.fitting(tries())

    def _choose(self, study: Any, sampler: Any, blank: Any, together: Mapping[str, Any], name: str, values: Range) -> Any:
        if name not in self._distributions:
            return values.values[0]
        found = together[name] if name in together else sampler.sample_independent(study, blank, name, self._distributions[name])
        return found if values.kind == "choice" else int(found) if values.kind == "int" else float(found)

    def _sampler(self, index: int) -> Any:
        import optuna

        name, seed = self.plan.config.sampler.name, self._seed(index)
        settings = asdict(self.plan.config.sampler.settings)
        if name == "tpe":
            settings |= {"multivariate": True, "group": True, "constant_liar": True}
        if name == "qmc":
            settings |= {"independent_sampler": optuna.samplers.RandomSampler(seed=seed), "warn_independent_sampling": False}
            seed = stream(self.plan.config.seed, "ask") % 2**32
        if name == "gp":
            settings |= {"warn_independent_sampling": False}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return getattr(optuna.samplers, CLASSES[name])(seed=seed, **settings)

    def _seed(self, *parts: Any) -> int:
        return stream(self.plan.config.seed, "ask", *parts) % 2**32

    # The Optuna study

    def _follow(self, history: History) -> Any:
        """The Optuna study with all that the history knows; built anew where the kept one cannot be led on to it.

        An empty one for `random`, which learns nothing.
        """
        if self.plan.config.sampler.name == "random":
            return self._new_study()
        changed = sorted(set(history.changes[self._seen :]))
        known = [number for number in changed if number < len(self._states)]
        again = [n for n in known if self._states[n] != "RUNNING" or self._designs[n] != history.draw(n).design.key]
        if self._study is None or again or len(self._states) > history.drawn:
            self._study, changed = self._new_study(), list(range(history.drawn))
            self._states, self._designs = [], []
        for number in changed:
            self._tell(number, history.draw(number))
        self._seen = len(history.changes)
        return self._study

    def _new_study(self) -> Any:
        import optuna

        return optuna.create_study(
            storage=optuna.storages.InMemoryStorage(),
            sampler=optuna.samplers.RandomSampler(seed=0),
            directions=["minimize"] * len(self.plan.config.objectives),
        )

    def _tell(self, number: int, draw: Draw) -> None:
        import optuna

        state, known = optuna.trial.TrialState[draw.state], number < len(self._states)
        violation = draw.violation if self.plan.config.constraints else None
        if not known:
            params = self._open_values(draw.design)
            added = optuna.trial.create_trial(
                state=state,
                values=draw.values,
                params=params,
                distributions={name: self._distributions[name] for name in params},
                system_attrs=self._system_attributes(draw),
            )
            if violation is not None and draw.state != "RUNNING":  # it can be set once, and further replicates may miss by more
                added.set_constraint(CONSTRAINT, violation)
            self._study.add_trial(added)
            for name, value in draw.attributes.get("study", {}).items():
                self._study._storage.set_study_system_attr(self._study._study_id, name, value)
            self._states.append(draw.state)
            self._designs.append(draw.design.key)
        elif draw.state != "RUNNING":
            trial = optuna.trial.Trial(self._study, number)  # in a storage of one study, a trial's id is its number
            if violation is not None:
                trial.set_constraint(CONSTRAINT, violation)
            self._study.tell(trial, values=draw.values, state=state)
            self._states[number] = draw.state

    def _system_attributes(self, draw: Draw) -> dict[str, Any]:
        """Those stored with a draw.

        Where the sampler has generations, a draw of elsewhere belongs to the first, and one that the user chose to the latest.
        """
        import optuna

        generation = getattr(getattr(optuna.samplers, CLASSES[self.plan.config.sampler.name]), "_get_generation_key", None)
        if generation and draw.imported:
            return {generation(): 0}
        if generation and draw.attributes.get(ENQUEUED):
            before = self._study.get_trials(deepcopy=False)
            return {generation(): max((trial.system_attrs.get(generation(), 0) for trial in before), default=0)}
        return dict(draw.attributes.get("trial", {}))

    def _open_values(self, design: Design) -> dict[str, Any]:
        return {name: value for name, value in self.parameters.values(design).items() if name in self._distributions}

    @cached_property
    def _distributions(self) -> dict[str, Any]:
        """Of every parameter that has more than one value."""
        return {name: distribution(values) for name, values in self.parameters.ranges.items() if len(values.values) > 1}


def distribution(values: Range) -> Any:
    """A range as Optuna has it."""
    import optuna

    if values.kind == "choice":
        return optuna.distributions.CategoricalDistribution(values.values)
    if values.kind == "int":
        return optuna.distributions.IntDistribution(*values.values)
    low, high = values.values
    return optuna.distributions.FloatDistribution(low, high, log=values.kind == "log")
