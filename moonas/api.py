"""What a user can do with moonas, from Python; the command line and the service only translate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import moonas
from moonas.driving import create_or_match, drive
from moonas.errors import NoDatabaseError, UnknownStudyError, UsageError
from moonas.storage import artifact_url, storage_url
from moonas.store.records import Records, StudyRecord, StudySummary

if TYPE_CHECKING:  # what only some commands need is imported where they need it: `moonas list` answers at once
    from moonas.comparison import Comparison
    from moonas.outer.loop import Watcher
    from moonas.outer.plan import Plan
    from moonas.results.study import Study
    from moonas.specs import SearchSpec
    from moonas.store.store import Store
    from moonas.study.schema import StudyConfig


def validate(question: str | Path | Mapping[str, Any] | StudyConfig) -> Plan:
    """Check a study file, or settings as a mapping: every field, and whether space, skeletons and budgets fit together.

    Needs no torch. Raises StudyFileError with every mistake found; UsageError where the sampler is not installed.
    """
    from moonas.outer.past import past_draws
    from moonas.outer.plan import Plan
    from moonas.outer.samplers.sampler import check_installed
    from moonas.study.loading import load_study, study_from
    from moonas.study.schema import StudyConfig

    if isinstance(question, StudyConfig):
        plan = Plan(question)
    elif isinstance(question, Mapping):
        plan = Plan(study_from(question))
    else:
        plan = Plan(load_study(question), str(question))
    check_installed(plan)
    past_draws(plan)
    return plan


def run(
    question: str | Path | Mapping[str, Any] | StudyConfig,
    storage: str | None = None,
    *,
    extend: bool = False,
    watcher: Watcher | None = None,
) -> Study:
    """Create the study a file asks for, or go on with it, and work until it is complete; returns it.

    question: path of a study file, or its content as a mapping. storage: SQLAlchemy URL of the study database.
    extend: allow the file to add budgets, methods, replicates or trials to the stored study.
    Raises StudyFileError; StudyConflictError where the file differs from the stored study in what must not change; LeaseError where
    another process drives it; Interrupted after Ctrl-C or SIGTERM, everything saved.
    """
    from moonas.store.store import Store

    plan = validate(question)
    url = storage_url(storage, plan.config.storage)
    with Store.open(url, create=True) as store:
        record, plan = create_or_match(store, plan, extend)
        drive(store, record, plan, _artifacts_of(url, record), watcher)
    return load_study(plan.config.name, url)


def create(
    question: str | Path | Mapping[str, Any] | StudyConfig, storage: str | None = None, *, extend: bool = False
) -> StudyRecord:
    """Create the study a file asks for, or find the stored one, without working on it; `resume` does that.

    extend, raises: as of `run`.
    """
    from moonas.store.store import Store

    plan = validate(question)
    with Store.open(storage_url(storage, plan.config.storage), create=True) as store:
        return create_or_match(store, plan, extend)[0]


def resume(name: str, storage: str | None = None, *, watcher: Watcher | None = None) -> Study:
    """Go on with a study from its database alone, until it is complete; returns it.

    Raises UnknownStudyError, LeaseError, Interrupted.
    """
    from moonas.outer.plan import Plan
    from moonas.study.loading import study_from

    url = storage_url(storage)
    with opened(url, name) as store:
        record = store.study(name)
        plan = Plan(study_from(record.config, f"study {name}"), f"study {name}")
        drive(store, record, plan, _artifacts_of(url, record), watcher)
    return load_study(name, url)


def load_study(name: str, storage: str | None = None) -> Study:
    """A study, to be read: its front, archive, trials and history. Raises UnknownStudyError."""
    from moonas.results.study import Study
    from moonas.store.store import Store

    url = storage_url(storage)
    try:
        return Study(Store.open(url, read_only=True), name)
    except NoDatabaseError as error:
        raise UnknownStudyError(f"there is no study {name!r}: {error}") from error


def list_studies(storage: str | None = None) -> Records[StudySummary]:
    """All studies of a database, the oldest first; none where there is no database, and none is made."""
    from moonas.store.database import connect
    from moonas.store.summaries import study_summaries

    try:
        database = connect(storage_url(storage), read_only=True)
        database.check_revision()
        return Records(study_summaries(database))
    except NoDatabaseError:
        return Records()


def compare(*studies: str | Study, storage: str | None = None, anyway: bool = False) -> Comparison:
    """Lay the fronts of several studies of the same objectives over each other.

    studies: names in `storage`, or studies as `load_study` gives them, which may come from several databases.
    anyway: compare studies whose protocols, data or ways of measuring differ; the result names the differences.
    Raises UnknownStudyError; UsageError where the studies do not compare.
    """
    from moonas.comparison import compare as lay_over

    return lay_over([load_study(study, storage) if isinstance(study, str) else study for study in studies], anyway)


def search(
    question: str | Path | Mapping[str, Any] | StudyConfig,
    method: str | None = None,
    *,
    replicate: int = 0,
    report: Callable[[Mapping[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """One inner search of a study file, without a database.

    method: label of the method variant; the first one that searches where absent. report: called with every epoch's metrics.
    Returns the search's result, with `decoded`: the architecture of the highest score at each budget and size, as JSON with its
    costs; nothing is re-ranked.
    Raises UsageError for a variant with open settings, whose values only a sweep chooses.
    """
    from moonas.outer.candidates import decode_trial, shortlist
    from moonas.outer.plan import Design

    plan = validate(question)
    labels = [variant.label for variant in plan.config.methods if variant.entry.searches] or [plan.config.methods[0].label]
    if method is not None and method not in [variant.label for variant in plan.config.methods]:
        raise UsageError(f"the study has no method {method!r}; it has: {', '.join(m.label for m in plan.config.methods)}")
    variant = plan.config.method(method or labels[0])
    if variant.open:
        raise UsageError(f"{variant.label} leaves {', '.join(variant.open)} open; give each one value, or use `moonas run`")
    if variant.named:
        raise UsageError(f"{variant.label} searches nothing: its architectures are named; use `moonas run`")
    if variant.entry.draws:
        raise UsageError(f"{variant.label} decodes nothing: it compares drawn architectures; use `moonas run`")
    if variant.settings.get("warm_start"):
        raise UsageError(f"{variant.label} starts from a trial of another study, which a database holds; use `moonas run`")
    if variant.continue_from:
        raise UsageError(f"{variant.label} continues finished searches of its study, which a database holds; use `moonas run`")
    results: dict[str, Any] = {}
    decoded = []
    for budget, (channels, cells) in plan.pairs:
        design = Design(variant.label, budget, channels, cells, {})
        spec = plan.search_spec(design, replicate)
        if spec.key not in results:
            results[spec.key] = _search_once(plan, spec, report or (lambda progress: None))
        best = shortlist(plan, design, replicate, results[spec.key])[0]
        found = decode_trial(plan, design, results[spec.key], best)[0]
        decoded.append(
            {
                **design.to_params(),
                "key": found.architecture.key,
                "genotype": found.architecture.to_json(),
                "skeleton": found.skeleton.to_json(),
                "params": found.params,
                "macs": found.macs,
            }
        )
    return {**next(iter(results.values())), "decoded": decoded}


def write_report(name: str, path: str | Path, storage: str | None = None) -> Path:
    """Write a study's report, one HTML file that opens offline; returns its path."""
    from moonas.report.collect import report_data
    from moonas.report.html import write_report as write

    path = Path(path)
    write(report_data(load_study(name, storage)), path)
    return path


def export_optuna(name: str, address: str, storage: str | None = None, *, replace: bool = False) -> int:
    """Write a study into an Optuna storage, an SQLAlchemy URL or the path of a journal file; returns its number of trials.

    An earlier export of it is written anew; replace: whatever else has its name there too.
    Raises UnknownStudyError, StudyConflictError, StorageError.
    """
    from moonas.exchange.to_optuna import export_study

    return export_study(load_study(name, storage), address, replace)


def import_optuna(
    address: str,
    name: str,
    storage: str | None = None,
    *,
    new_name: str | None = None,
    metrics: Sequence[str] | None = None,
    function: str | None = None,
) -> Study:
    """Bring an Optuna study in, as a complete one; returns it. new_name: its own where absent.

    One that `export_optuna` wrote comes back as it was; any other becomes a study of a function, whose trials can be looked at.
    metrics, function: for such a one, names for its objectives and for what made its trials; its own where absent.
    Raises UsageError, StudyConflictError, StorageError.
    """
    from moonas.exchange.from_optuna import add_study, read_study
    from moonas.store.store import Store

    url, found = storage_url(storage), read_study(address, name, metrics, function)
    with Store.open(url, create=True) as store:
        add_study(store, found, new_name or name, moonas.__version__)
    return load_study(new_name or name, url)


def delete_study(name: str, storage: str | None = None) -> None:
    """Delete a study with its trials, fronts and artifacts; what other studies measured with it stays.

    Raises UnknownStudyError; LeaseError while a process drives it.
    """
    from moonas.worker.artifacts import delete_artifact, delete_folder

    url = storage_url(storage)
    with opened(url, name) as store:
        record = store.study(name)
        urls = store.delete_study(name)
    for artifact in urls:
        delete_artifact(artifact)
    delete_folder(_artifacts_of(url, record))


def upgrade_database(storage: str | None = None) -> None:
    """Bring a database of an older moonas to this version's tables. Raises StorageError."""
    from moonas.store import maintenance

    maintenance.upgrade(storage_url(storage))


def check_database(storage: str | None = None) -> list[str]:
    """What is inconsistent in a database and its folders of artifacts, one line each with what would do; empty where all is well.

    Raises StorageError.
    """
    from moonas.results.checking import contradictions
    from moonas.store import maintenance, orphans
    from moonas.store.store import Store

    url = storage_url(storage)
    found = maintenance.check(url)
    with Store.open(url, read_only=True) as store:
        found = found + contradictions(store, found)
        return found + list(orphans.problems(store, lambda record: _artifacts_of(url, record)))


def fix_artifacts(storage: str | None = None) -> list[str]:
    """Forget artifacts whose files are missing and remove files that belong to none; returns what was done, one line each.

    Studies that a process drives are left alone. Raises StorageError.
    """
    from moonas.store import orphans
    from moonas.store.store import Store

    url = storage_url(storage)
    with Store.open(url) as store:
        return list(orphans.fix(store, lambda record: _artifacts_of(url, record)))


def _artifacts_of(url: str, record: StudyRecord) -> str:
    return artifact_url(url, record.name, record.created, record.config.get("artifacts"))


@contextmanager
def opened(url: str, name: str) -> Iterator[Store]:
    """The database that holds a study, to write to it. Raises UnknownStudyError where there is no database."""
    from moonas.store.store import Store

    try:
        store = Store.open(url)
    except NoDatabaseError as error:
        raise UnknownStudyError(f"there is no study {name!r}: {error}") from error
    with store:
        yield store


def _search_once(plan: Plan, spec: SearchSpec, report: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
    """Run one search in a worker process of its own."""
    from moonas.outer.single import run_one
    from moonas.worker.devices import slot_devices
    from moonas.worker.local import LocalPool

    pool = LocalPool(slot_devices(plan.config.workers)[:1], plan.config.workers.threads_per_task)
    try:
        return run_one(pool, spec.to_json(), report)
    finally:
        pool.close()
