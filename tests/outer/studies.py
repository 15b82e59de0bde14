"""Studies of a space small enough to count by hand: one node a cell, `skip_connect` or `sep_conv_3x3` on its two edges.

At C channels and 3 cells on digits (1 x 8 x 8, 10 classes), by hand, where s and r are the separable convolutions among the two
edges of the normal and of the reduction cell (each 0, 1 or 2):

    C = 2: params 524 + 52 s + 320 r     macs 8,912 + 2,816 s + 2,240 r
    C = 4: params 1,566 + 120 s + 800 r

so parameters reach from 524 to 1,268 at C = 2 and from 1,566 to 3,406 at C = 4: a span of 2,882 over both widths.
"""

from typing import Any

from moonas.outer.plan import Plan
from moonas.study.loading import study_from

SMALL: dict[str, Any] = {
    "name": "small",
    "data": "digits",
    "space": {"name": "darts-cnn", "nodes": 1, "operations": ["skip_connect", "sep_conv_3x3"]},
    "search": {"channels": 2, "cells": 3},
    "final": {"channels": [2, 4], "cells": 3},
    "objectives": ["accuracy", "params"],
    "methods": ["random", {"name": "darts", "epochs": 2}],
}


def plan(**changed: Any) -> Plan:
    return Plan(study_from(SMALL | changed), "small.yaml")
