"""`clearance`: may it be used? Verdicts, and who approved what."""

from __future__ import annotations

import typer

from memoryd_cli import policies


def register(app: typer.Typer) -> None:
    """Add the commands about licence verdicts."""
    clearance = typer.Typer(no_args_is_help=True, help="May we use it? Licence verdicts, and who approved what.")
    policies.register_on_clearance(clearance)
    app.add_typer(clearance, name="clearance")
