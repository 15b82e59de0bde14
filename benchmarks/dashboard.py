"""How long the dashboard's server takes over a large study: the first look at it, and what follows a click.

python benchmarks/dashboard.py DATABASE NAME
The database is one that `benchmarks/large.py --database FILE` has left; it is only read. Every line is what the server does between
a request and the JSON of its answer: the first time with nothing of the study in memory, then the median of five more. Prints
milliseconds of process time and of the clock, and how much JSON goes to the browser.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from dash._utils import to_json

from benchmarks.printing import header, machine, row
from moonas.dashboard.catalogue import Catalogue
from moonas.dashboard.pages import pick, studies, study, trial
from moonas.dashboard.views import budgets, front, methods, parameters, trials, volume, workers
from moonas.race import race
from moonas.report.analysis import race_figure, timeline_figure
from moonas.report.figures import hypervolume_figure
from moonas.results.importance import importance

AGAIN = 5
FIRST, CLICK = 2000, 300  # the goals, in milliseconds: the first paint of a study, and what follows a click


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("database", type=Path)
    arguments.add_argument("name")
    given = arguments.parse_args()
    catalogue = Catalogue(f"sqlite:///{given.database.absolute()}")
    catalogue.names()  # what a server has done before anyone asks for a study: imports, the connection
    print(machine(), end="\n\n")
    print(*header("what", "first: CPU ms", "first: clock ms", "again: CPU ms", "again: clock ms", "kB of JSON"), sep="\n")
    for what, act in actions(catalogue, given.name):
        print(timed(what, act), flush=True)
    live = catalogue.live(given.name)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{len(live.trials):,} trials with values, {len(live.members())} members of the front; memory at most {peak:.0f} MB.")
    print(f"Goals: the first paint of a study, page and front together, in {FIRST:,} ms; what follows a click in {CLICK} ms.")


def actions(catalogue: Catalogue, name: str) -> list[tuple[str, Callable[[], Any]]]:
    """What readers do, in the order in which they come to it."""
    axes = [catalogue.store.study(name).config["objectives"][place]["metric"] for place in (1, 0)]

    def live() -> Any:
        return catalogue.live(name)

    def drawn(axes: list[str], colour: str, number: int | None = None, webgl: bool = True) -> Any:
        return front.drawn(live(), axes, colour, "auto", True, True, number, "light", webgl)

    def race_view() -> Any:
        runners = live().once("race", lambda: race(live().study, live().tally()))
        return race_figure(runners), methods.rows(runners)

    def importance_view() -> Any:
        found = live().once("importance", lambda: importance(parameters.varied(live()), live().trials.numbers(axes[1])))
        return parameters.told(found)

    def table(column: str, direction: str, start: int) -> Any:
        sort = [{"colId": column, "sort": direction}]
        return trials.rows(live(), {"startRow": start, "endRow": start + trials.ROWS, "sortModel": sort})

    last = sum(count for _, count in catalogue.live(name).now.trials) - trials.ROWS
    return [
        ("the list of studies", lambda: studies.page(catalogue, {}).content),
        ("a study's page", lambda: study.page(catalogue, {}, name).content),
        ("its front", lambda: drawn(axes, "method")),
        ("its front without WebGL", lambda: drawn(axes, "method", webgl=False)),
        ("the table of members", lambda: front.members_table(live(), None, "method")),
        ("has anything changed?", lambda: live().now.text),
        ("the front, coloured by width", lambda: drawn(axes, "width")),
        ("a past front", lambda: drawn(axes, "method", live().history[len(live().history) // 2].number)),
        ("a click on a trial", lambda: front.chosen_text(live(), front.chosen(live(), "trial-7", None))),
        (
            "hypervolume, twice",
            lambda: [hypervolume_figure(volume.with_history(live()), over) for over in ("evaluations", "device-hours")],
        ),
        ("budgets", lambda: budgets.layout(live())),
        ("parallel coordinates", lambda: parameters.parallel(live(), axes[1], "light")),
        ("importance of parameters", importance_view),
        ("the first trials", lambda: table("number", "asc", 0)),
        ("the last trials", lambda: table("number", "asc", last)),
        ("the best trials", lambda: table(axes[1], "desc", 0)),
        ("a trial's page", lambda: trial.page(catalogue, {}, name, str(last)).content),
        ("timeline of workers", lambda: timeline_figure(workers.attempts(live())[0])),
        ("race of methods", race_view),
        ("pick under a bound", lambda: pick.answer(live(), f"{axes[0]}=500k", False)),
        ("pick by what is no objective", lambda: pick.answer(live(), "macs=60M", False)),
    ]


def timed(what: str, act: Callable[[], Any]) -> str:
    """A row of the table."""
    first = measure(act)
    again = [measure(act) for _ in range(AGAIN)]
    cpu, clock = (statistics.median(one[place] for one in again) for place in (0, 1))
    return row(what, f"{first[0]:.0f}", f"{first[1]:.0f}", f"{cpu:.0f}", f"{clock:.0f}", f"{first[2]:,.0f}")


def measure(act: Callable[[], Any]) -> tuple[float, float, float]:
    """Milliseconds of process time and of the clock, and kB of what is sent."""
    cpu, clock = process_time(), perf_counter()
    sent = to_json(act())
    return 1000 * (process_time() - cpu), 1000 * (perf_counter() - clock), len(sent or "") / 1000


if __name__ == "__main__":
    main()
