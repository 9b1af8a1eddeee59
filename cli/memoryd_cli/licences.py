"""`licences`: what the terms of model licences say, what people of the studio say otherwise, and who grants one to a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from memoryd.foundation.canonical_json import Json, NotJson, read_json
from memoryd.foundation.errors import NotAcceptable
from memoryd.model_registry.licensing.documents import read_value
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Licence = Annotated[str, typer.Argument(help="Its id, or any other name it goes by.")]
Model = Annotated[str, typer.Argument(help="A SHA-256 or its beginning, folder/path, or a file's name.")]
Reason = Annotated[str, typer.Option(help="Why: it is kept and shown.")]

TERMS_SHOWN = (
    "outputs_commercial",
    "model_commercial",
    "revenue_cap",
    "users_cap",
    "registration",
    "territory_excluded",
    "outputs_bound_to_territory",
    "attribution",
    "derivative_naming",
    "derivatives_allowed",
    "share_alike",
    "training_ban",
    "use_restrictions",
    "aup_url",
    "hosting_restricted",
    "disclosure_duty",
    "disputed",
)


class NoDocument(NotAcceptable):
    """This is no licence's document."""


class BadTerm(NotAcceptable):
    """This names no term and value."""


def register(app: typer.Typer) -> None:
    """Add the commands about licences."""
    licences = typer.Typer(
        no_args_is_help=True,
        help="Licences of models: their terms as facts to review with (never legal advice), and who grants one to a model.",
    )
    licences.command("list")(list_licences)
    licences.command("show")(show_licence)
    licences.command("add")(add_licence)
    licences.command("override")(override)
    licences.command("restore")(restore)
    licences.command("of")(show_grants)
    licences.command("state")(state)
    licences.command("withdraw")(withdraw)
    app.add_typer(licences, name="licences")


def list_licences(
    words: Annotated[str | None, typer.Argument(help="Part of an id or a title.")] = None,
    local: Annotated[bool, typer.Option("--local", help="Only those that people here added or changed.")] = False,
    json: AsJson = False,
) -> None:
    """List licences of which terms are known."""
    client, rows, cursor = server(), [], None
    while True:
        found = client.get("/licences", q=words, local=local or None, cursor=cursor)
        rows += found["items"]
        cursor = found["next_cursor"]
        if cursor is None:
            break
    if json:
        as_json({"items": rows})
        return
    table(
        ("ID", "OUTPUTS", "MODEL", "SURE", "NOTE", "TITLE"),
        (
            (
                row["id"],
                row["outputs_commercial"],
                row["model_commercial"],
                row["confidence"],
                " ".join(word for word, is_so in (("disputed", row["disputed"]), ("local", row["local"])) if is_so),
                row["title"],
            )
            for row in rows
        ),
    )


def show_licence(licence: Licence, json: AsJson = False) -> None:
    """Show a licence with its clauses, and what people here changed of it."""
    shown = server().get(f"/licences/{quote(licence)}")
    if json:
        as_json(shown)
        return
    _say(shown)


def add_licence(
    file: Annotated[Path, typer.Argument(help="A document after schemas/licence.v1.schema.json.", exists=True)],
    reason: Reason,
    json: AsJson = False,
) -> None:
    """Bring a licence that is not in the table, or another version of one."""
    try:
        document = read_json(file.read_bytes())
    except NotJson as broken:
        raise NoDocument(
            f"{file}: {broken}", hint="`memoryd licences show apache-2.0 --json` is an example of what it says"
        ) from broken
    _tell(server().post("/licences", json={"document": document, "reason": reason}), json)


def override(
    licence: Licence,
    term: Annotated[list[str], typer.Option(help="NAME=VALUE; the value is JSON, or a word as it stands. Repeatable.")],
    reason: Reason,
    json: AsJson = False,
) -> None:
    """Replace terms of a licence for this studio, with a reason."""
    body = {"terms": dict(_term(word) for word in term), "reason": reason}
    _tell(server().post(f"/licences/{quote(licence)}/overrides", json=body), json)


def restore(
    licence: Licence,
    reason: Reason,
    term: Annotated[list[str] | None, typer.Option(help="Only this term. Repeatable.")] = None,
    json: AsJson = False,
) -> None:
    """Take back what was changed of a licence, or an added licence itself."""
    shown = server().post(f"/licences/{quote(licence)}/restore", json={"terms": term or [], "reason": reason})
    if json:
        as_json(shown)
    elif shown["terms"] is None:
        say(f"{licence}: nobody knows its terms any more")
    else:
        say(f"{shown['terms']['id']} {shown['terms']['version']}: as it counts now")


def show_grants(model: Model, json: AsJson = False) -> None:
    """Show what grants a licence to a model, and what it inherits from its base and its parents."""
    _tell_grants(server().get(f"/models/{_ref(model)}/grants"), json)


def state(
    model: Model,
    name: Annotated[str, typer.Argument(help="The licence: its id, or any other name.")],
    reason: Reason,
    version: Annotated[str, typer.Option(help="Its version.")] = "",
    url: Annotated[str | None, typer.Option(help="Where its text can be read.")] = None,
    json: AsJson = False,
) -> None:
    """State the licence of a model: it counts instead of what the file says; what is inherited stays."""
    body = {"name": name, "version": version, "url": url, "reason": reason}
    _tell_grants(server().post(f"/models/{_ref(model)}/grants", json=body), json)


def withdraw(
    model: Model, statement: Annotated[str, typer.Argument(help="Its id, from `licences of`.")], json: AsJson = False
) -> None:
    """Withdraw what a person stated."""
    _tell_grants(server().delete(f"/models/{_ref(model)}/grants/{quote(statement)}"), json)


def _term(word: str) -> tuple[str, Json]:
    name, separator, value = word.partition("=")
    if not separator or not name:
        raise BadTerm(f"{word!r}", hint="write --term training_ban=true, or --term revenue_cap='{\"amount\": …}'")
    return name.strip(), read_value(value)


def _tell(shown: dict[str, Any], json: bool) -> None:
    if json:
        as_json(shown)
    else:
        _say(shown)


def _say(shown: dict[str, Any]) -> None:
    terms = shown["terms"]
    say(f"{terms['id']}  {terms['title']}")
    say(f"version      {terms['version']}{' (changed here)' if shown['local'] else ''}")
    say(f"spdx         {terms['spdx']}")
    say(f"text         {terms['url'] or 'unknown'}")
    say(f"text hash    {terms['text_sha256'] or 'none: not from the publisher itself'}")
    say(f"confidence   {terms['confidence']} on {terms['verified_at']}, {terms['verified_by']}")
    for name in TERMS_SHOWN:
        value = terms[name]
        clause = terms["clauses"].get(name)
        if value in (None, False, []) and clause is None:
            continue
        say(f"{name} = {_value(value)}")
        if clause is not None:
            say(f"    {clause['section'] + ': ' if clause['section'] else ''}{clause['says']}")
    if terms["notes"]:
        say(f"note         {terms['notes']}")
    for version in shown["versions"]:
        state = "counts" if version["ended_at"] is None else f"until {version['ended_at']}"
        what = "added" if version["added"] else "changed " + ", ".join(version["changes"])
        say(f"local.{version['version']}  {what}, {version['at']}, {state}: {version['reason']}")


def _tell_grants(shown: dict[str, Any], json: bool) -> None:
    if json:
        as_json(shown)
        return
    if not shown["items"]:
        say("unknown: nobody named a licence, and its base is not known")
        return
    table(
        ("SOURCE", "LICENCE", "OUTPUTS", "MODEL", "SURE", "WHY", "STATEMENT"),
        (
            (
                f"{grant['source']}{' (inherited)' if grant['inherited'] else ''}",
                grant["licence"] or f"unknown: {grant['title']}",
                grant["outputs_commercial"] or "unknown",
                grant["model_commercial"] or "unknown",
                grant["confidence"] or "",
                grant["reason"] or "",
                grant["statement_id"] if grant["source"] == "person" else "",
            )
            for grant in shown["items"]
        ),
    )


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(str, value))
    return str(value)


def _ref(model: str) -> str:
    return quote(model.replace("\\", "/"))
