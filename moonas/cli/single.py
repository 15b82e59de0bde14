"""Commands that do one thing without a database: a search, a device table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from moonas.cli.options import StudyFile


def search(
    file: StudyFile,
    method: Annotated[str | None, typer.Option(help="Label of the method variant. [default: the first that searches]")] = None,
    replicate: Annotated[int, typer.Option(min=0, help="Which random streams to use.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the whole result here, as JSON.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run one inner search, without a database, and print what it decodes to at each budget."""
    from moonas import api, progress
    from moonas.terminal.networks import print_decoded

    result = api.search(file, method, replicate=replicate, report=None if quiet else progress.print_epoch)
    if output is not None:
        output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print_decoded(result["decoded"])


def device_table(
    file: StudyFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="The JSON file to write.")] = Path("device-table.json"),
    metric: Annotated[str, typer.Option(help="What to predict: latency_ms or energy_mj.")] = "latency_ms",
    networks: Annotated[int, typer.Option(min=1, help="Random networks to measure at each final skeleton.")] = 300,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure random networks of a study on this device, and fit a table that predicts any other."""
    from moonas import device_table, progress
    from moonas.terminal.plans import print_device_table

    table = device_table.fit_device_table(file, metric, networks, report=None if quiet else progress.print_count)
    output.write_text(json.dumps(table) + "\n", encoding="utf-8")
    print_device_table(table, str(output))
