"""The function itself."""

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any


def zdt1(params: Mapping[str, Any], report: Callable[[Mapping[str, float]], None]) -> dict[str, float]:
    """ZDT1 of Zitzler, Deb and Thiele (2000), doi:10.1162/106365600568202, of three variables: the front is f2 = 1 - sqrt(f1)."""
    g = 1 + 9 * (params["x2"] + params["x3"]) / 2
    report({"g": g})
    return {"zdt_f1": params["x1"], "zdt_f2": g * (1 - sqrt(params["x1"] / g))}
