"""How long the dashboard's server takes over a large study: its first page, and what follows a click.

    python benchmarks/dashboard.py sqlite:///large.db NAME [--address]

Works on a database made by another run, such as `benchmarks/large.py`'s, and only reads it. Every callback runs as the server runs
it, from the study's row in the database to the JSON that a browser gets; the first table begins with nothing in memory. Seconds are
of this process's CPU and of the clock, the middle of five for interactions.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.printing import print_table  # noqa: E402
