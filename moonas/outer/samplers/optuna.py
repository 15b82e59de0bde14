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
        trials = history.trials
        if len(trials) >= self.total:
            return None
        if trials and trials[-1].replicate + 1 < self.plan.config.replicates:
            return Proposal(Design.from_params(trials[-1].params), trials[-1].replicate + 1)
        return Proposal(self._draw(sum(trial.replicate == 0 for trial in trials)), 0)

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
        channels, cells = sizes[trial.suggest_int("size", 0, len(sizes) - 1)]
        budgets = [budget for budget, size in pairs if size == (channels, cells)]
        budget = budgets[trial.suggest_int("budget", 0, len(budgets) - 1)]
        return Design(method.label, budget, channels, cells, settings)


def _suggest(trial: Any, name: str, values: Range) -> Any:
    if values.kind == "choice":
        return trial.suggest_categorical(name, values.values)
    if values.kind == "int":
        return trial.suggest_int(name, *values.values)
    return trial.suggest_float(name, *values.values, log=values.kind == "log")
