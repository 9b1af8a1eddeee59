"""`memoryd`: one command, its parts in the files beside this one."""

from __future__ import annotations

import importlib
import sys

import typer

from memoryd import __version__
from memoryd.foundation.errors import MemorydError
from memoryd_cli.output import explain, say

PARTS = (
    "processes",
    "ingest",
    "search",
    "annotations",
    "graphs",
    "models",
    "jobs",
    "workers",
    "worker",
    "reproduction",
    "disclosure",
    "reports",
    "people",
    "database_admin",
)
"""The files whose `register(app)` adds commands, in the order in which help shows them."""

INTERRUPTED_EXIT_CODE = 130

app = typer.Typer(
    name="memoryd",
    help="The memory of a generative studio: every ComfyUI run recorded, found, disclosed and made again.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        say(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """The memory of a generative studio: every ComfyUI run recorded, found, disclosed and made again."""


for _part in PARTS:
    importlib.import_module(f"memoryd_cli.{_part}").register(app)


def main() -> None:
    """Run the command line; errors become one sentence, the next step, and an exit code by category."""
    try:
        app()
    except MemorydError as error:
        explain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT_CODE)
    except BrokenPipeError:
        # The reader of our output (head, less) went away: not our failure.
        sys.stderr.close()
        sys.exit(0)
