"""How much a study file may ask for: far beyond any sweep, and short of what would keep its reader, or a server, busy for hours."""

from __future__ import annotations

from math import prod
from typing import Any

from moonas.study.samplers import SAMPLERS
from moonas.study.validation import Place

# our own choices: each budget takes a third of a millisecond to check at each size, and a study is built for 50,000 trials
MOST_PAIRS = 2_000  # of a budget and a size
MOST_TRIALS = 100_000  # of a grid


def check_extent(place: Place, budgets: Any, final: Any, methods: Any, replicates: Any, sampler: Any) -> None:
    """Budgets that are crossed, and the grid of settings, multiply: a slip of the pen is found before anything is worked out."""
    sizes = len(final.channels) * len(final.cells)
    pairs = prod(map(len, budgets.levels.values())) * sizes
    if pairs > MOST_PAIRS:
        (place / "budgets").wrong(f"{pairs:,} budgets, each size of the final network counted, are more than {MOST_PAIRS:,}")
    if not SAMPLERS[sampler.name].finite:
        return
    points = {method.label: prod(len(found.grid()) for found in method.open.values()) for method in methods}
    trials = replicates * sum(points[method.label] * (sizes if method.named else pairs) for method in methods)
    if trials > MOST_TRIALS:
        largest = max(points, key=lambda label: points[label])
        (place / "sampler").wrong(
            f"a grid of {trials:,} trials, {points[largest]:,} settings of {largest} among them, is more than {MOST_TRIALS:,}; "
            "list fewer values, or take a sampler that draws, such as tpe"
        )
