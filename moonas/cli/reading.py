"""Commands that show what a database holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moonas.cli.options import Format, FormatOption, Name, Storage
from moonas.cli.output import print_data


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
        from moonas.terminal.studies import print_studies

        print_studies(rows)
    else:
        print_data(rows, output)


def show(name: Name, storage: Storage = None, output: FormatOption = Format.table) -> None:
    """Show a study: its state, trials, budgets, front and device-hours."""
    from moonas import api
    from moonas.terminal.studies import print_study, summary

    study = api.load_study(name, storage)
    if output is Format.table:
        print_study(study)
    else:
        print_data([summary(study)] if output is Format.csv else summary(study), output)


def trials(
    name: Name,
    storage: Storage = None,
    state: Annotated[str | None, typer.Option(help="Only trials in this state.")] = None,
    offset: Annotated[int, typer.Option(min=0, help="Leave out so many of the first ones.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="So many at most.", show_default="all")] = None,
    output: FormatOption = Format.table,
) -> None:
    """List the trials of a study."""
    from moonas import api
    from moonas.errors import UsageError, nearest
    from moonas.store.states import TrialState
    from moonas.terminal.trials import print_trials, trial_row

    wanted = None if state is None else state.upper()
    if wanted is not None and wanted not in list(TrialState):
        raise UsageError(f"{state!r} is not a state{nearest(wanted, TrialState)}\nKnown: {', '.join(TrialState)}.")
    study = api.load_study(name, storage)
    page = study.trials(None if wanted is None else TrialState(wanted), offset, limit)
    told = study.collapses(), study.fallbacks(), study.halved()
    rows = [trial_row(trial, *(found.get(trial.number) for found in told)) for trial in page]
    if output is Format.table:
        print_trials(study, rows)
    else:
        print_data(rows, output)


def logs(
    name: Name,
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="Number of the trial.", show_default=False)],
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show what a trial's tasks reported, epoch by epoch, and the errors of attempts that failed."""
    from moonas import api
    from moonas.terminal.trials import log_rows, print_logs

    study = api.load_study(name, storage)
    if output is Format.table:
        print_logs(study, trial)
    else:
        print_data(log_rows(study, trial), output)


def front(
    name: Name,
    storage: Storage = None,
    number: Annotated[int | None, typer.Option(help="A front of the study's history instead of the present one.")] = None,
    output: FormatOption = Format.table,
) -> None:
    """Print the Pareto front, the cheapest network first."""
    from moonas import api
    from moonas.terminal.fronts import print_front

    study = api.load_study(name, storage)
    members = study.front(number)
    if output is Format.table:
        print_front(study, members, number)
    else:
        print_data([member.to_json() for member in members], output)


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
    from moonas import api
    from moonas.study.bounds import parse_under
    from moonas.study.objectives import parse_weights
    from moonas.terminal.networks import print_network

    study = api.load_study(name, storage)
    bounds = [bound for text in under or () for bound in parse_under(text)]
    found = study.best(bounds, knee=knee, weights=None if weights is None else parse_weights(weights))
    if output is Format.table:
        print_network(study, found)
    else:
        print_data(found.to_json() if output is Format.json else [found.to_json()], output)


def compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME NAME...", help="Names of studies.", show_default=False)],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare studies whose protocols, data or ways of measuring differ, too.")
    ] = False,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Lay the fronts of several studies over each other: what each dominates, and what only it adds."""
    from moonas import api
    from moonas.terminal.fronts import print_comparison

    found = api.compare(*names, storage=storage, anyway=anyway)
    if output is Format.table:
        print_comparison(found)
    else:
        print_data(found.to_json() if output is Format.json else found.to_json()["standings"], output)


def arch(
    name: Name,
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Key of an architecture, or a unique beginning of it.", show_default=False)
    ],
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE.safetensors", help="Write its trained weights, where they are kept, to this file.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(metavar="N", help="With --weights, where there are several networks: the one that trial N found.")
    ] = None,
    storage: Storage = None,
    output: FormatOption = Format.table,
) -> None:
    """Show an architecture: its cells, exact costs and every measurement; or write its trained weights."""
    from moonas import api
    from moonas.errors import UsageError
    from moonas.terminal.networks import print_network

    study = api.load_study(name, storage)
    if weights is not None:
        found_weights = study.weights(key, trial)
        print(f"wrote {found_weights.save(weights)}: {found_weights}")
        return
    if trial is not None:
        raise UsageError("--trial goes with --weights")
    found = study.networks_of(key)
    if output is Format.table:
        for network in found:
            print_network(study, network)
    else:
        print_data([network.to_json() for network in found], output)
