"""Optuna's samplers by name, over the parameters of a study."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.parameters import Parameters
from moonas.outer.samplers.sampler import History
from moonas.seeds import stream
from moonas.study.ranges import Range

TRIES = 1000  # draws until one is a design that keeps to the constraints, as far as they are known


class OptunaSampler:
    """One in-memory Optuna study per ask, with a sampler seeded by (study seed, ask index)."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.parameters = plan, Parameters(plan)

    def propose(self, history: History, index: int) -> tuple[Design, Mapping[str, Any]]:
        """A design drawn until it fits; of those that miss a constraint, whatever is drawn, the one that misses it least."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.RandomSampler(seed=stream(self.plan.config.seed, "ask", index) % 2**32)
        study = optuna.create_study(sampler=sampler)
        least: tuple[float, Design] | None = None
        for _ in range(TRIES):
            trial = study.ask()
            design = self.parameters.design(partial(_suggest, trial))
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            if design is None:
                continue
            violation = self.parameters.violation(design)
            if least is None or violation < least[0]:
                least = violation, design
            if not violation:
                break
        assert least is not None, "a study with no design at all is refused"
        return least[1], {}


def _suggest(trial: Any, name: str, values: Range) -> Any:
    if values.kind == "choice":
        return trial.suggest_categorical(name, values.values)
    if values.kind == "int":
        return trial.suggest_int(name, *values.values)
    return trial.suggest_float(name, *values.values, log=values.kind == "log")
