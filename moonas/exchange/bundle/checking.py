"""Whether the content of a bundle is a study: read as one, out of a database of its own, before any other database sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from moonas.architecture import Architecture
from moonas.errors import BundleError, MoonasError
from moonas.exchange.bundle.content import Content, protocols
from moonas.outer.continuing import start_of
from moonas.outer.plan import Design, Plan
from moonas.report.collect import report_data
from moonas.results.study import Study
from moonas.skeleton import Skeleton
from moonas.spaces.mixture import mixture_from_json
from moonas.specs import EvaluateSpec, MeasureSpec, RerankSpec, SearchSpec
from moonas.store.copying import write_rows, write_study
from moonas.store.store import Store
from moonas.study.loading import study_from
from moonas.study.schema import SCHEMA

_SPECS: dict[str, Any] = {"search": SearchSpec, "evaluate": EvaluateSpec, "measure": MeasureSpec, "rerank": RerankSpec}


def check_study(content: Content, source: str) -> None:
    """Raise BundleError where something in the content is not what moonas makes of a study. source: names it in the message."""
    try:
        plan = Plan(study_from(content.study["config"], source), source)
        for problem in _problems(content, plan):
            raise BundleError(f"{source} does not hold a study of moonas: {problem}")
        with TemporaryDirectory() as folder, Store.open(f"sqlite:///{Path(folder) / 'bundle.db'}", create=True) as store:
            with store.database.write() as session:
                write_rows(session, write_study(session, content.study), content.rows, [])
            _read_all(Study(store, content.study["name"]))
    except (MoonasError, SQLAlchemyError) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError(f"{source} does not hold a study that can be read: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError, OverflowError) as error:
        raise BundleError(f"{source} does not hold a study that can be read ({type(error).__name__}: {error})") from error


def _problems(content: Content, plan: Plan) -> Iterator[str]:
    """What moonas would not have written."""
    study, rows = content.study, content.rows
    if study["schema"] > SCHEMA:
        yield f"its file is of format {study['schema']}, this moonas reads up to {SCHEMA}; upgrade moonas"
    if study["name"] != plan.config.name:
        yield f"it is called {study['name']!r}, its file says {plan.config.name!r}"
    if study["seed"] != plan.config.seed:
        yield f"its seed is {study['seed']}, its file says {plan.config.seed}"
    if [trial["number"] for trial in rows["trials"]] != list(range(len(rows["trials"]))):
        yield "its trials are not numbered 0, 1, 2 ..."
    keys = [Architecture.from_json(row["genotype"]) for row in rows["architectures"]]
    for architecture, row in zip(keys, rows["architectures"], strict=True):
        if (architecture.key, architecture.space) != (row["key"], row["space"]):
            yield f"architecture {row['key']} has another key"
        if plan.space.function_key(architecture) != row["function_key"]:
            yield f"architecture {row['key']} has another function key"
    for row in rows["costs"]:
        skeleton = Skeleton.from_json(row["skeleton_json"])
        exact = plan.costs(keys[row["architecture_id"]], skeleton)
        if skeleton.key != row["skeleton"] or (row["params"], row["macs"]) != (exact.get("params", 0), exact.get("macs", 0)):
            yield f"architecture {keys[row['architecture_id']].key} has other costs"
    known = protocols(plan, (trial["params"] for trial in rows["trials"]))
    for row in rows["evaluations"]:
        if row["data"] not in (plan.data_identity, "") or row["protocol"] not in known:
            yield f"an evaluation by {row['protocol']} on {row['data']!r} is none of the study's"
    for task in rows["tasks"]:
        if task["kind"] not in _SPECS or _SPECS[task["kind"]].from_json(task["spec"]).key != task["key"]:
            yield f"a task of the kind {task['kind']!r} has another key than its spec"
        if task["spec"].get("weights") is not None or ((task["result"] or {}).get("weights") or {"url": None}) != {"url": None}:
            yield "a task names a file"
    for row in rows["progress"]:
        if row["mixture"] is not None:
            mixture_from_json(plan.space, row["mixture"])


def _read_all(study: Study) -> None:
    """Ask for everything that commands print and that a loop takes up."""
    study_id, plan = study.record.id, study.plan
    study.store.studies()
    for trial in study.trials():
        plan.protocol(Design.from_params(trial.params))
        start_of(trial.sampler_attrs)
    for step in study.front_history():
        study.front(step.number)
    study.collapses()
    study.fallbacks()
    rungs = study.store.rungs(study_id)
    assert all(0 <= rung <= len(plan.rungs) for rung in rungs.values()), "a trial is at a rung that there is not"
    study.store.curves(study_id)
    report_data(study)
