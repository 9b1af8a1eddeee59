"""`memoryd`: one command, its parts in the files beside this one."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import sys
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import typer
from typer.core import TyperGroup

from memoryd import __version__
from memoryd.foundation.errors import MemorydError
from memoryd_cli.file_trouble import file_trouble
from memoryd_cli.output import explain, say

PARTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "processes": ("up", "demo", "serve", "work"),
        "watching": ("watch", "roots"),
        "ingest": ("ingest", "quarantine"),
        "enrichment": ("enrich",),
        "search": ("search", "show", "lineage"),
        "annotations": ("tag", "rate", "note", "collect", "approve"),
        "attribution": ("attribute", "attest", "link", "unlink", "proposals"),
        "removal": ("reject", "hide", "trash", "bring-back"),
        "holds": ("holds",),
        "importing": ("import",),
        "graphs": ("extract", "diff"),
        "models": ("models",),
        "licences": ("licences",),
        "clearance": ("clearance",),
        "clients": ("clients",),
        "deliveries": ("deliveries",),
        "submit": ("submit",),
        "jobs": ("queue", "jobs"),
        "groups": ("groups",),
        "workers": ("workers",),
        "pools": ("pools", "caps"),
        "canaries": ("canaries",),
        "worker": ("worker", "stand-in"),
        "environments": ("environment",),
        "reproduction": ("reproduce",),
        "identifying": ("identify",),
        "receipts": ("receipt",),
        "bundles": ("bundle",),
        "vary": ("vary", "enlarge"),
        "disclosure": ("disclose", "verify", "pki"),
        "reports": ("report",),
        "bom": ("bom",),
        "usage": ("usage",),
        "events": ("events",),
        "webhooks": ("webhooks",),
        "people": ("tenants", "people", "projects", "keys", "audit"),
        "database_admin": ("doctor", "backup", "restore", "db"),
    }
)
"""The files whose `register(app)` adds commands, and which, in the order in which help shows them.

Only the part that a command line names is loaded: a search need not wait for what signs pictures.
"""

INTERRUPTED_EXIT_CODE = 130


class Commands(TyperGroup):
    """The commands. Where whoever reads our output went away (head, less), they end quietly, and well."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        # What a context is depends on whose click Typer comes with: it is only handed on.
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            # Typer takes every broken pipe for our output's and ends with 1; one to another program is a failure.
            if not forget_unread():
                raise file_trouble(error) from error
            raise typer.Exit(0) from error
        return answer


def command_line(parts: Iterable[str] = tuple(PARTS)) -> typer.Typer:
    """Return the command line with the commands of these parts."""
    app = typer.Typer(
        name="memoryd",
        cls=Commands,
        help="The memory of a generative studio: every ComfyUI run recorded, found, disclosed and made again.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for part in parts:
        importlib.import_module(f"memoryd_cli.{part}").register(app)
    return app


def parts_for(arguments: list[str]) -> tuple[str, ...]:
    """Return the part that the first argument's command is in, or all where that is no command."""
    wanted = arguments[0] if arguments else ""
    return tuple(part for part, commands in PARTS.items() if wanted in commands) or tuple(PARTS)


def _version(wanted: bool) -> None:
    if wanted:
        say(__version__)
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and end."
    ),
) -> None:
    """The memory of a generative studio: every ComfyUI run recorded, found, disclosed and made again."""


def main() -> None:
    """Run the command line; errors become one sentence, the next step, and an exit code by category."""
    try:
        command_line(parts_for(sys.argv[1:]))()
    except MemorydError as error:
        explain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT_CODE)
    except OSError as error:
        # A full disk, a folder that may not be written to: said in a sentence, the traceback for who asks for it.
        if os.environ.get("MEMORYD_LOG_LEVEL", "").upper() == "DEBUG":
            raise
        unusable = file_trouble(error)
        explain(unusable)
        sys.exit(unusable.exit_code)
    finally:
        # What a command that failed had still to say need not reach anybody.
        forget_unread()


def forget_unread() -> bool:
    """Write out what is still to be written; return whether nobody reads it any more, and let it go nowhere then."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    if not _is_unread():
        return False
    # Python writes what is left once more at its end, and would complain. Source: Python's docs, signal, SIGPIPE.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return True


def _is_unread() -> bool:
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        # It is no file at all.
        return False
    if not hasattr(select, "poll"):
        # Windows cannot be asked; there a broken pipe is said as any other trouble with a file.
        return False
    watch = select.poll()
    watch.register(number, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))
