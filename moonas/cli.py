"""The command line: thin doors over `moonas.api`."""

from __future__ import annotations

import csv
import gc
import io
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from moonas import __version__
from moonas.errors import Interrupted, MoonasError

app = typer.Typer(
    name="moonas",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pareto fronts of neural architectures: budget sweeps over differentiable searches, kept in a study database.",
)
database = typer.Typer(no_args_is_help=True, help="Look after a study database.")
app.add_typer(database, name="db")


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    json = "json"
    csv = "csv"


Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Study database, an SQLAlchemy URL. [default: MOONAS_STORAGE, else sqlite:///moonas.db]"),
]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to print.")]
StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="The study file.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a study in the database.", show_default=False)]


def main() -> NoReturn:
    """Run the command line; mistakes of users become one message and an exit code."""
    gc.set_threshold(50_000)  # start-up makes no garbage, and looking for it every 700 objects takes a sixth of the time
    try:
        app()
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        sys.exit(interrupted.exit_code)
    except MoonasError as error:
        from moonas.terminal import print_error

        print_error(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(0)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"moonas {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def run(
    file: StudyFile,
    storage: Storage = None,
    extend: Annotated[bool, typer.Option("--extend", help="Accept budgets, methods, replicates or trials the file adds.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run a study, or go on with it; ends with its Pareto front.

    Ctrl-C saves everything and stops at the next checkpoint; `moonas resume` goes on.
    """
    from moonas import api, progress, terminal

    with progress.watcher(quiet) as watcher:
        study = api.run(file, storage, extend=extend, watcher=watcher)
    if not terminal.print_outcome(study):
        raise typer.Exit(1)


@app.command()
def resume(
    name: Name, storage: Storage = None, quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False
) -> None:
    """Go on with a study from its database alone."""
    from moonas import api, progress, terminal

    with progress.watcher(quiet) as watcher:
        study = api.resume(name, storage, watcher=watcher)
    if not terminal.print_outcome(study):
        raise typer.Exit(1)


@app.command()
def plan(
    file: StudyFile,
    measure: Annotated[bool, typer.Option(help="Measure one step of each kind of task to estimate time and memory.")] = True,
    output: FormatOption = Format.table,
) -> None:
    """Say what a study would do: trials, searches, what each budget can reach, time and memory."""
    from moonas import preview, terminal

    found = preview.preview(file, measure=measure)
    if output is Format.table:
        terminal.print_preview(found)
    else:
        _print(found["budgets"] if output is Format.csv else found, output)


@app.command()
def validate(file: StudyFile) -> None:
    """Check a study file; prints every mistake, each with its place. Exit code 2 where there are any."""
    from moonas import api

    checked = api.validate(file)
    print(f"{file}: a valid study, {checked.config.name!r}, with the sampler {checked.config.sampler.name}")


@app.command(name="list")
def list_(storage: Storage = None, output: FormatOption = Format.table) -> None:
    """List the studies of a database."""
    from moonas import api

    studies = api.list_studies(storage)
    rows = [
        {
            "name": study.name,
            "state": study.state.value,
            "trials": {state.value: count for state, count in study.trials.items()},
            "accuracy": study.accuracy,
            "created": study.created,
            "last_event": study.last_event,
        }
        for study in studies
    ]
    if output is Format.table:
        from moonas.terminal import print_studies

        print_studies(rows)
    else:
        _print(rows, output)


@app.command()
def show(name: Name, storage: Storage = None, output: FormatOption = Format.table) -> None:
    """Show a study: its state, trials, budgets, front and device-hours."""
    from moonas import api, terminal

    study = api.load_study(name, storage)
    if output is Format.table:
        terminal.print_study(study)
    else:
        _print([terminal.summary(study)] if output is Format.csv else terminal.summary(study), output)


@app.command()
def trials(
    name: Name,
    storage: Storage = None,
    state: Annotated[str | None, typer.Option(help="Only trials in this state.")] = None,
    output: FormatOption = Format.table,
) -> None:
    """List the trials of a study."""
    from moonas import api, terminal
    from moonas.errors import UsageError, nearest
    from moonas.store.states import TrialState

    if state is not None and state.upper() not in list(TrialState):
        raise UsageError(f"{state!r} is not a state{nearest(state.upper(), TrialState)}\nKnown: {', '.join(TrialState)}.")
    study = api.load_study(name, storage)
    collapses, fallbacks = study.collapses(), study.fallbacks()
    trials = [trial for trial in study.trials() if state is None or trial.state == state.upper()]
    rows = [terminal.trial_row(trial, collapses.get(trial.number), fallbacks.get(trial.number)) for trial in trials]
    if output is Format.table:
        terminal.print_trials(study, rows)
    else:
        _print(rows, output)


@app.command()
def logs(
    name: Name,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.", show_default=False)],
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show what a trial's tasks reported, epoch by epoch, and the errors of attempts that failed."""
    from moonas import api, terminal

    study = api.load_study(name, storage)
    if output is Format.table:
        terminal.print_logs(study, trial)
    else:
        _print(terminal.log_rows(study, trial), output)


@app.command()
def front(
    name: Name,
    storage: Storage = None,
    number: Annotated[int | None, typer.Option(help="A front of the study's history instead of the present one.")] = None,
    output: FormatOption = Format.table,
) -> None:
    """Print the Pareto front, the cheapest network first."""
    from moonas import api, terminal

    study = api.load_study(name, storage)
    members = study.front(number)
    if output is Format.table:
        terminal.print_front(study, members, number)
    else:
        _print([member.to_json() for member in members], output)


@app.command()
def best(
    name: Name,
    under: Annotated[
        list[str] | None,
        typer.Option(metavar="BOUNDS", help="Limits such as params=2M or params=2M,macs=600e6; may be given several times."),
    ] = None,
    knee: Annotated[
        bool, typer.Option("--knee", help="The knee of the front: the network whose neighbours gain least for what they give up.")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="The compromise for weights such as accuracy=2,params=1: the network whose largest weighted loss is smallest. "
            "A loss is the distance to the front's best value, as a share of the front's span in that objective; with these "
            "weights, a tenth of the span lost in accuracy counts like a fifth lost in params. "
            "Objectives not named weigh 1; 0 ignores one.",
        ),
    ] = None,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """The network of the best first objective under given limits, or the knee or a weighted compromise of the front there."""
    from moonas import api, terminal
    from moonas.study.bounds import parse_under
    from moonas.study.objectives import parse_weights

    study = api.load_study(name, storage)
    bounds = [bound for text in under or () for bound in parse_under(text)]
    found = study.best(bounds, knee=knee, weights=None if weights is None else parse_weights(weights))
    if output is Format.table:
        terminal.print_network(study, found)
    else:
        _print(found.to_json() if output is Format.json else [found.to_json()], output)


@app.command()
def compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME NAME...", help="Names of studies.", show_default=False)],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare studies whose protocols, data or ways of measuring differ, too.")
    ] = False,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Lay the fronts of several studies over each other: what each dominates, and what only it adds."""
    from moonas import api, terminal

    found = api.compare(*names, storage=storage, anyway=anyway)
    if output is Format.table:
        terminal.print_comparison(found)
    else:
        _print(found.to_json() if output is Format.json else found.to_json()["standings"], output)


@app.command()
def arch(
    name: Name,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Key of an architecture, or a unique beginning of it.", show_default=False)
    ],
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show an architecture: its cells, exact costs and every measurement."""
    from moonas import api, terminal

    study = api.load_study(name, storage)
    found = study.networks_of(key)
    if output is Format.table:
        for network in found:
            terminal.print_network(study, network)
    else:
        _print([network.to_json() for network in found], output)


@app.command()
def search(
    file: StudyFile,
    method: Annotated[str | None, typer.Option(help="Label of the method variant. [default: the first that searches]")] = None,
    replicate: Annotated[int, typer.Option(min=0, help="Which random streams to use.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the whole result here, as JSON.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run one inner search, without a database, and print what it decodes to at each budget."""
    from moonas import api, progress, terminal

    result = api.search(file, method, replicate=replicate, report=None if quiet else progress.print_epoch)
    if output is not None:
        output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    terminal.print_decoded(result["decoded"])


@app.command(name="device-table")
def device_table(
    file: StudyFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSON file to write.")] = Path("device-table.json"),
    metric: Annotated[str, typer.Option(help="What to predict: latency_ms or energy_mj.")] = "latency_ms",
    networks: Annotated[int, typer.Option(min=1, help="Random networks to measure at each final skeleton.")] = 300,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure random networks of a study on this device, and fit a table that predicts any other."""
    from moonas import device_table, progress, terminal

    table = device_table.fit_device_table(file, metric, networks, report=None if quiet else progress.print_count)
    output.write_text(json.dumps(table) + "\n", encoding="utf-8")
    terminal.print_device_table(table, str(output))


@app.command()
def report(
    name: Name,
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")] = Path("report.html"),
    storage: Storage = None,
) -> None:
    """Write a study's report: one HTML file that opens offline."""
    from moonas import api

    print(f"wrote {api.write_report(name, output, storage)}")


@app.command(name="export-optuna")
def export_optuna(
    name: Name,
    to: Annotated[str, typer.Option(metavar="URL", help="Optuna storage: an SQLAlchemy URL, or the path of a journal file.")],
    storage: Storage = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite whatever else has the study's name there.")] = False,
) -> None:
    """Write a study into an Optuna storage, for optuna-dashboard and optuna.visualization."""
    from moonas import api

    count = api.export_optuna(name, to, storage, replace=replace)
    print(f"wrote {name} with {count} trials")


@app.command(name="import-optuna")
def import_optuna(
    address: Annotated[str, typer.Argument(metavar="URL", help="Optuna storage, as of export-optuna.", show_default=False)],
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Name of the Optuna study.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="What to call it here. [default: its own name]")] = None,
    storage: Storage = None,
) -> None:
    """Bring a study in that export-optuna wrote."""
    from moonas import api, terminal

    terminal.print_study(api.import_optuna(address, study, storage, new_name=name))


@app.command()
def delete(
    name: Name, storage: Storage = None, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False
) -> None:
    """Delete a study with its trials, fronts and artifacts."""
    from moonas import api

    study = api.load_study(name, storage)
    if not yes:
        typer.confirm(f"Delete study {name!r} with {len(study.trials())} trials?", abort=True)
    study.store.close()
    api.delete_study(name, storage)
    print(f"deleted {name}")


@database.command()
def upgrade(storage: Storage = None) -> None:
    """Bring a database of an older moonas to this version."""
    from moonas import api

    api.upgrade_database(storage)
    print("the database is up to date")


@database.command()
def check(storage: Storage = None) -> None:
    """Look for inconsistencies; exit code 1 where there are any."""
    from moonas import api

    found = api.check_database(storage)
    for line in found:
        print(line)
    if found:
        raise typer.Exit(1)
    print("the database is consistent")


def _print(value: Any, output: Format) -> None:
    """JSON as it is; CSV with nested values as JSON and formulas of spreadsheets defused."""
    if output is Format.json:
        print(json.dumps(value, indent=2))
        return
    rows = [_flat(row) for row in value]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    print(text.getvalue(), end="")


def _flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """One level of cells: `metrics.accuracy.value`. Genotypes and budgets stay whole, as JSON."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, dict) and key not in ("genotype", "budget"):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            text = json.dumps(value) if isinstance(value, dict | list) else value
            flat[prefix + key] = f"'{text}" if isinstance(text, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
    return flat
