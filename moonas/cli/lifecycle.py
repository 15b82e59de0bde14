"""Commands that change a study while it runs, or between two runs."""

from __future__ import annotations

from typing import Annotated

import typer

from moonas.cli.options import Name, Storage

PANEL = "Running studies"
Trials = Annotated[list[int] | None, typer.Argument(metavar="[TRIAL...]", help="Numbers of trials.", show_default=False)]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait some seconds for the answer of the process that drives it.")]


def pause(name: Name, storage: Storage = None, wait: Wait = True) -> None:
    """Let running tasks end at their next checkpoint, and the run with exit code 0. `moonas resume` goes on."""
    from moonas import lifecycle

    print(lifecycle.pause(name, storage, wait=_seconds(wait)))


def stop(name: Name, storage: Storage = None, wait: Wait = True) -> None:
    """Start nothing new and let running trials finish; then the run ends. `moonas resume` goes on."""
    from moonas import lifecycle

    print(lifecycle.stop(name, storage, wait=_seconds(wait)))


def cancel(name: Name, trials: Trials = None, storage: Storage = None, wait: Wait = True) -> None:
    """Kill the running tasks of trials, which fail with that reason. Without TRIAL: of all that run, and end the run."""
    from moonas import lifecycle

    print(lifecycle.cancel(name, trials or (), storage, wait=_seconds(wait)))


def retry(name: Name, trials: Trials = None, storage: Storage = None, wait: Wait = True) -> None:
    """Open failed or cancelled trials again, all of them without TRIAL, from their last checkpoints where any are left."""
    from moonas import lifecycle

    print(lifecycle.retry(name, trials or (), storage, wait=_seconds(wait)))


def enqueue(
    name: Name,
    method: Annotated[str | None, typer.Option(metavar="LABEL", help="The method variant; not needed where there is one.")] = None,
    budget: Annotated[str | None, typer.Option(metavar="BUDGET", help="Such as params=20%, params=2M or none.")] = None,
    channels: Annotated[int | None, typer.Option(help="Width of the final network.")] = None,
    cells: Annotated[int | None, typer.Option(help="Depth of the final network.")] = None,
    replicate: Annotated[int, typer.Option(help="Which random streams to use.")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An open setting; may be given several times.")
    ] = None,
    storage: Storage = None,
    wait: Wait = True,
) -> None:
    """Add one trial of your choice, to be run before the next one that the sampler chooses."""
    from moonas import lifecycle
    from moonas.errors import UsageError

    pairs = [text.partition("=") for text in settings or ()]
    if wrong := [setting for setting, sign, value in pairs if not (setting and sign and value)]:
        raise UsageError(f"--set {wrong[0]}: write NAME=VALUE, such as alpha_lr=3e-4")
    text = lifecycle.enqueue(
        name,
        storage,
        method=method,
        budget=budget,
        channels=channels,
        cells=cells,
        replicate=replicate,
        settings={setting: value for setting, _, value in pairs},
        wait=_seconds(wait),
    )
    print(text)


def _seconds(wait: bool) -> float:
    from moonas.lifecycle import WAIT

    return WAIT if wait else 0.0
