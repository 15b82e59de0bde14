"""An Optuna study of any origin, as a study of a function: its trials, objectives, constraints, states and attributes.

Only what Optuna stores as JSON is read. What made the trials is not known, so none can be asked for.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from moonas.errors import UsageError
from moonas.exchange.from_optuna import Exported
from moonas.outer.candidates import named
from moonas.outer.plan import Design, Plan
from moonas.seeds import canonical_json, stream
from moonas.store.states import TrialState
from moonas.study.bounds import total_violation
from moonas.study.loading import study_from

TAKEN = ("name", "label", "handler", "continue_from", "function", "returns", "seed")  # mean something else beside a function
MARGIN = 0.01  # how far the worst corner of the hypervolume's box lies beyond the worst value, as a share of the span of values
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def foreign_study(study: Any, address: str, metrics: Sequence[str] | None = None, function: str | None = None) -> Exported:
    """What is to be imported of `study`, an Optuna study.

    metrics: names for its objectives; those that it gives them itself, or value_0, value_1 ..., where absent.
    function: a name for what made its trials; the study's own where absent. Raises UsageError, StudyFileError.
    """
    trials = study.get_trials(deepcopy=False)
    objectives = _objective_names(study, metrics)
    constraints = _distinct({key: _identifier(f"constraint_{key}") for trial in trials for key in trial.constraints})
    directions = [direction.name.lower() for direction in study.directions]
    params = {name: f"{name}_" if name in TAKEN else name for trial in trials for name in trial.params}
    tried = [{params[name]: _plain(value) for name, value in trial.params.items()} for trial in trials]
    replicates = _replicates(tried)
    returned = [_returned(trial, objectives, constraints) for trial in trials]
    finished = [metrics for metrics in returned if metrics]
    config = {
        "name": study.study_name,
        "seed": stream("optuna", address, study.study_name, tried, returned) % 2**32,  # no other import shares evaluations with it
        "objectives": [
            {"metric": name, "known": False, **_corners(direction, [metrics[name] for metrics in finished])}
            for name, direction in zip(objectives, directions, strict=True)
        ],
        "constraints": [f"{name}<=0" for name in constraints.values()],
        "methods": [
            {
                "name": "function",
                "function": function or study.study_name,
                "returns": dict(zip(objectives, directions, strict=True)) | dict.fromkeys(constraints.values(), "minimize"),
                **{params[name]: _range([t for t in trials if name in t.params], name) for name in params},
            }
        ],
        "replicates": max(replicates, default=0) + 1,
        "sampler": "random",
        "trials": max(1, len(trials)),
    }
    plan = Plan(study_from(config, f"Optuna study {study.study_name}"))
    records = [
        _record(plan, trial, chosen, replicate, found)
        for trial, chosen, replicate, found in zip(trials, tried, replicates, returned, strict=True)
    ]
    return Exported(address, {"study": plan.config.to_json(), "device": None}, records)


def _objective_names(study: Any, given: Sequence[str] | None) -> list[str]:
    """Raises UsageError where the names given are no names, or not as many as there are objectives."""
    count = len(study.directions)
    if given is None:
        own = study.metric_names or [f"value_{index}" for index in range(count)]
        return list(_distinct({str(index): _identifier(name) for index, name in enumerate(own)}).values())
    if len(given) != count or len(set(given)) != count:
        raise UsageError(f"the Optuna study has {count} objectives; name each of them once, not {', '.join(given) or 'none'}")
    for name in given:
        if not IDENTIFIER.fullmatch(name):
            raise UsageError(f"{name!r} is no name for a metric: write letters, digits and '_', beginning with no digit")
    return list(given)


def _identifier(text: str) -> str:
    """A name that bounds can speak of, for what Optuna calls by any text."""
    found = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    return found if IDENTIFIER.fullmatch(found) else f"value_{found}"


def _distinct(names: Mapping[str, str]) -> dict[str, str]:
    """The same, with a number behind what occurs again."""
    seen: Counter[str] = Counter()
    found = {}
    for key, name in names.items():
        found[key] = f"{name}_{seen[name]}" if seen[name] else name
        seen[name] += 1
    return found


def _plain(value: Any) -> Any:
    """A value as a study file can list it: what is no number, text or truth value stands as JSON text."""
    if isinstance(value, str | bool | int) or (isinstance(value, float) and isfinite(value)):
        return value
    return json.dumps(value)


def _range(trials: Sequence[Any], name: str) -> dict[str, list[Any]]:
    """What a parameter could be in any of the trials that have it: one range where all were of one kind, else a list."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    kinds = [trial.distributions[name] for trial in trials]
    values = [trial.params[name] for trial in trials]
    if any(isinstance(kind, CategoricalDistribution) for kind in kinds):
        listed = [c for kind in kinds if isinstance(kind, CategoricalDistribution) for c in kind.choices]
        return {"choice": list({canonical_json(c): c for c in map(_plain, [*listed, *values])}.values())}
    low, high = min(kind.low for kind in kinds), max(kind.high for kind in kinds)
    if low == high:
        return {"choice": [low]}
    if all(isinstance(kind, IntDistribution) for kind in kinds):
        return {"int": [low, high]}
    return {"log" if all(kind.log for kind in kinds) else "uniform": [low, high]}


def _replicates(tried: Sequence[Mapping[str, Any]]) -> list[int]:
    """Of each trial, how many before it had the same parameters."""
    seen: Counter[str] = Counter()
    found = []
    for params in tried:
        key = canonical_json(dict(params))
        found.append(seen[key])
        seen[key] += 1
    return found


def _returned(trial: Any, objectives: Sequence[str], constraints: Mapping[str, str]) -> dict[str, float] | None:
    """The values of a complete trial, if all are finite; a constraint that it says nothing of is met, as for Optuna."""
    if trial.state.name != "COMPLETE" or not all(isfinite(value) for value in (*trial.values, *trial.constraints.values())):
        return None
    missed = {name: float(trial.constraints.get(key, 0.0)) for key, name in constraints.items()}
    return {**dict(zip(objectives, map(float, trial.values), strict=True)), **missed}


def _corners(direction: str, values: Sequence[float]) -> dict[str, float]:
    """The hypervolume's box reaches from the best value to a little beyond the worst one, in the metric's own sign."""
    sign = 1 if direction == "minimize" else -1
    turned = [sign * value for value in values] or [0.0]
    span = max(turned) - min(turned)
    return {"reference": sign * (max(turned) + (MARGIN * span or 1.0)), "best": sign * min(turned)}


def _record(
    plan: Plan, trial: Any, params: Mapping[str, Any], replicate: int, returned: Mapping[str, float] | None
) -> dict[str, Any]:
    """A trial as `to_optuna` would have written it."""
    design = Design("function", {}, 1, 1, dict(params))
    state, reason, values = TrialState.FAIL.value, "", None
    if returned:
        state, values = TrialState.COMPLETE.value, dict(returned)
    elif trial.state.name == "PRUNED":
        state, values, reason = TrialState.PRUNED.value, _last_reported(plan, trial), "was pruned in Optuna"
    elif trial.state.name == "COMPLETE":
        reason = f"its values are not finite: {', '.join(map(str, [*trial.values, *trial.constraints.values()]))}"
    else:
        reason = "failed in Optuna" if trial.state.is_finished() else "was not finished when it was imported"
    started, ended = (time and time.timestamp() for time in (trial.datetime_start, trial.datetime_complete))
    return {
        "id": trial.number,
        "number": trial.number,
        "state": state,
        "params": design.to_params(),
        "replicate": replicate,
        "sampler_attrs": {"user_attrs": _json(trial.user_attrs)} if trial.user_attrs else {},
        "values": values,
        "violation": total_violation(plan.config.constraints, returned or {}),
        "reason": reason,
        "created": started or 0.0,
        "started": started,
        "finished": ended,
        "candidates": [_candidate(plan, design, returned, trial.duration)] if returned else [],
    }


def _last_reported(plan: Plan, trial: Any) -> dict[str, float]:
    """What a pruned trial reported last, where there is one objective, of which alone Optuna keeps reports."""
    last = trial.intermediate_values.get(trial.last_step)
    return {plan.config.objectives[0].metric: last} if last is not None and isfinite(last) else {}


def _candidate(plan: Plan, design: Design, returned: Mapping[str, float], duration: Any) -> dict[str, Any]:
    (found,) = named(plan, design)
    measured = {
        "metrics": dict(returned),
        "seconds": duration.total_seconds() if duration else 0.0,
        "device": {"type": "unknown", "name": "unknown, by Optuna"},
        "versions": {},
        "data_checksum": "",
    }
    return {
        "genotype": found.architecture.to_json(),
        "skeleton_json": found.skeleton.to_json(),
        **{name: getattr(found, name) for name in ("function_key", "params", "macs", "origin", "score", "budget")},
        "measured": {"evaluate": measured},
    }


def _json(value: Any) -> Any:
    """JSON that every database takes: numbers that are not finite become text."""
    return json.loads(json.dumps(value), parse_constant=str)
