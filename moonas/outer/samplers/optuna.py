"""Optuna's samplers by name, over the study's methods, their open settings, budgets, widths and depths."""

from __future__ import annotations

from typing import Any

from moonas.outer.plan import Design, Plan
from moonas.outer.samplers.sampler import History, Proposal
from moonas.seeds import stream
from moonas.study.ranges import Range


class OptunaSampler:
    """One in-memory Optuna study per ask, with a sampler seeded by (study seed, ask index).

    Trials come in runs of `replicates` that share their parameters, so that `trials` counts replicates too.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.total = plan.config.trials or 0

    def ask(self, history: History) -> Proposal | None:
        """The next trial: the next replicate of the last draw, or a new draw. None once `trials` have been asked."""
        number, replicates = len(history.trials), self.plan.config.replicates
        if number >= self.total:
            return None
        index, replicate = divmod(number, replicates)
        if replicate:
            return Proposal(Design.from_params(history.trials[number - 1].params), replicate)
        return Proposal(self._draw(index), 0)

    def _draw(self, index: int) -> Design:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.RandomSampler(seed=stream(self.plan.config.seed, "ask", index) % 2**32)
        return self._suggest(optuna.create_study(sampler=sampler).ask())

    def _suggest(self, trial: Any) -> Design:
        """A method, its open settings, a size that some budget fits, and one of the budgets that fit it."""
        config, pairs = self.plan.config, self.plan.pairs
        method = config.method(trial.suggest_categorical("method", [method.label for method in config.methods]))
        settings = {name: _suggest(trial, f"{method.label}.{name}", values) for name, values in method.open.items()}
        sizes = list(dict.fromkeys(size for _, size in pairs))
        size = sizes[trial.suggest_int("size", 0, len(sizes) - 1)]
        budgets = [budget for budget, other in pairs if other == size]
        return Design(method.label, budgets[trial.suggest_int("budget", 0, len(budgets) - 1)], *size, settings)


def _suggest(trial: Any, name: str, values: Range) -> Any:
    if values.kind == "choice":
        return trial.suggest_categorical(name, values.values)
    if values.kind == "int":
        return trial.suggest_int(name, *values.values)
    return trial.suggest_float(name, *values.values, log=values.kind == "log")
