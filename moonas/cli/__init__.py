"""The command line: thin doors over `moonas.api`. A command is a function of a module beside this one, with a line in a table."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer

from moonas import __version__
from moonas.cli import lifecycle, reading, serving, sharing, single, studies, upkeep
from moonas.errors import Interrupted, MoonasError

COMMANDS: dict[str, Callable[..., None]] = {  # in the order of the help
    "run": studies.run,
    "resume": studies.resume,
    "plan": studies.plan,
    "validate": studies.validate,
    "schema": studies.schema,
    "list": reading.list_,
    "show": reading.show,
    "trials": reading.trials,
    "logs": reading.logs,
    "front": reading.front,
    "best": reading.best,
    "compare": reading.compare,
    "arch": reading.arch,
    "search": single.search,
    "device-table": single.device_table,
    "report": sharing.report,
    "export-study": sharing.export_study,
    "import-study": sharing.import_study,
    "export-optuna": sharing.export_optuna,
    "import-optuna": sharing.import_optuna,
    "delete": upkeep.delete,
    "serve": serving.serve,
}
LIFECYCLE_COMMANDS: dict[str, Callable[..., None]] = {
    "pause": lifecycle.pause,
    "stop": lifecycle.stop,
    "cancel": lifecycle.cancel,
    "retry": lifecycle.retry,
    "enqueue": lifecycle.enqueue,
}
DATABASE_COMMANDS: dict[str, Callable[..., None]] = {"upgrade": upkeep.upgrade, "check": upkeep.check}
TOKEN_COMMANDS: dict[str, Callable[..., None]] = {"create": serving.create, "list": serving.list_, "revoke": serving.revoke}

app = typer.Typer(
    name="moonas",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Pareto fronts of neural architectures: budget sweeps over differentiable searches, kept in a study database.",
)
database = typer.Typer(no_args_is_help=True, help="Look after a study database.")
tokens = typer.Typer(no_args_is_help=True, help="Who may call the service.")
app.add_typer(database, name="db")
app.add_typer(tokens, name="token")
for _name, _function in COMMANDS.items():
    app.command(name=_name)(_function)
for _name, _function in LIFECYCLE_COMMANDS.items():
    app.command(name=_name, rich_help_panel=lifecycle.PANEL)(_function)
for _name, _function in DATABASE_COMMANDS.items():
    database.command(name=_name)(_function)
for _name, _function in TOKEN_COMMANDS.items():
    tokens.command(name=_name)(_function)


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"moonas {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


def main() -> NoReturn:
    """Run the command line; mistakes of users become one message and an exit code."""
    gc.set_threshold(50_000)  # start-up makes no garbage, and looking for it every 700 objects takes a sixth of the time
    try:
        app()
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        sys.exit(interrupted.exit_code)
    except MoonasError as error:
        from moonas.terminal.parts import print_error

        print_error(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    sys.exit(0)
