"""What the command line shows while a study runs: a live view on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from moonas.outer.requests import ending_text
from moonas.store.states import TrialState
from moonas.terminal.parts import console, duration, number_text

if TYPE_CHECKING:
    from moonas.outer.loop import Loop, Watcher

REFRESH = 1.0  # seconds between redraws of the live view


@contextmanager
def watcher(quiet: bool = False) -> Iterator[Watcher]:
    """A live view on a terminal, plain lines in a log, nothing where `quiet`."""
    if quiet:
        from moonas.driving import Silent

        yield Silent()
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield LiveWatcher(live)
    else:
        yield LineWatcher()


class LineWatcher:
    """One plain line per event, with the state of the study in front."""

    def __init__(self) -> None:
        self.loop: Loop | None = None

    def tick(self, loop: Loop) -> None:
        """Say once that the study is under way."""
        if self.loop is None:
            self.loop = loop
            slots = f"{len(loop.pool.devices)} slots on {loop.pool.devices[0] or 'no machine yet'}"
            done = f", {loop.done_before} already done" if loop.done_before else ""
            self.note(f"{loop.config.name}: {loop.sampler.total} trials{done}; {slots}")

    def note(self, text: str) -> None:
        """Print the line at once."""
        print(f"{datetime.now():%H:%M:%S} {_counts(self.loop) if self.loop else ''}{text}", flush=True)


class LiveWatcher:
    """Trials done and time left; what every slot works on; the front so far."""

    def __init__(self, live: Live) -> None:
        self.live, self._drawn = live, 0.0

    def tick(self, loop: Loop) -> None:
        """Redraw, at most once a second."""
        if time.monotonic() - self._drawn >= REFRESH:
            self._drawn = time.monotonic()
            self.live.update(_view(loop), refresh=True)

    def note(self, text: str) -> None:
        """Print a line above the live view."""
        self.live.console.print(Text(text))


def _view(loop: Loop) -> Group:
    trials = loop.trials
    done, total = sum(trials.finished.values()), max(loop.sampler.total, len(trials.history.trials))
    failed, pruned = trials.finished[TrialState.FAIL], trials.finished[TrialState.PRUNED]
    head = Table.grid(padding=(0, 2))
    head.add_row(
        Text(loop.config.name, style="bold"),
        ProgressBar(total=max(loop.work[1], 1), completed=loop.work[0], width=30),
        f"{done} of {total} trials{_held(loop)}",
        Text(f"{failed} failed", style="red") if failed else "",
        f"{pruned} pruned" if pruned else "",
        _left(loop) if loop.ending is None else "",
    )
    slots = Table(box=None, padding=(0, 2), show_header=False)
    for slot, device in enumerate(loop.pool.devices):
        if (running := loop.slots.running.get(slot)) is None:
            slots.add_row(device, "done" if loop.ending else "idle" if device else "waits for a machine", "", "", "")
            continue
        record, progress = running.task.record, running.task.progress
        trial = min((t.number for t in trials.waiting_for(running.task)), default=None)
        step, of, metrics = progress.get("step", 0), progress.get("of"), progress.get("metrics", {})
        accuracy = metrics.get("valid_accuracy", metrics.get("accuracy", metrics.get("train_accuracy")))
        slots.add_row(
            device,
            f"{record.kind} for trial {trial}",
            ProgressBar(total=of or 1, completed=step, width=20),
            "starting" if not progress else f"epoch {step}/{of}" if of else f"step {step}",
            "" if accuracy is None else f"accuracy {accuracy:.3f}",
        )
    ending = [Text(ending_text(loop))] if loop.ending else []
    return Group(head, *ending, slots, _front_so_far(loop))


def _front_so_far(loop: Loop) -> Text | Table:
    if not loop.findings.members:
        return Text("no architecture measured yet", style="dim")
    table = Table(box=box.SIMPLE, title="front so far", title_justify="left", title_style="bold", padding=(0, 1))
    for objective in loop.config.objectives:
        table.add_column(objective.entry.label, justify="right")
    members = sorted((values for _, values in loop.findings.members), key=lambda values: values.get("params", 0))
    for values in members[-12:]:
        table.add_row(*(number_text(values[objective.metric]) for objective in loop.config.objectives))
    return table


def _left(loop: Loop) -> str:
    done, total = loop.work
    here = done - loop.work_before
    elapsed = time.monotonic() - loop.began
    return f"about {duration(elapsed / here * (total - done))} left" if here > 0 else f"{duration(elapsed)} so far"


def _counts(loop: Loop) -> str:
    trials = loop.trials
    return f"[{sum(trials.finished.values())}/{max(loop.sampler.total, len(trials.history.trials))}{_held(loop)}] "


def _held(loop: Loop) -> str:
    """How many more trials have been trained for a while and wait for what others reach."""
    held = loop.advancing.rungs.held
    return f", {held} held" if held else ""


def print_count(done: int, of: int) -> None:
    """A line now and then: at every twentieth part."""
    if done * 20 // of != (done - 1) * 20 // of:
        print(f"{datetime.now():%H:%M:%S} {done} of {of} networks measured", flush=True)


def print_epoch(progress: Mapping[str, Any]) -> None:
    """One line per epoch of a single search."""
    if "warning" in progress:
        print(f"warning: {progress['warning']}", flush=True)
        return
    metrics = "  ".join(f"{name} {value:.4g}" for name, value in progress["metrics"].items())
    print(f"epoch {progress['step']}/{progress['of']}  {metrics}", flush=True)
