"""`memoryd pki init`, `disclose`, `verify`: signing and checking, with and without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from memoryd.catalog.facts import RootDisclosure
from memoryd.disclosure import pki
from memoryd.disclosure.evidence import evidence_in_file
from memoryd.disclosure.facts import Undecided
from memoryd.disclosure.signing import sign_file
from memoryd.disclosure.statement import what_to_say
from memoryd.disclosure.verifying import verify_file
from memoryd.disclosure.wire import VerdictShape
from memoryd.foundation.errors import MemorydError, NotAcceptable, NotFound
from memoryd.foundation.settings import Settings
from memoryd.weights.hashing import hash_file
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say, table
from memoryd_cli.search import asset_of, at

BAD_VERDICT_EXIT_CODE = 10
"""`verify` ends with this where the file does not verify: other failures have their own codes."""

NO_MANIFEST_EXIT_CODE = 11
"""`verify` ends with this where there is nothing to verify."""


class NothingToSay(NotAcceptable):
    """Nothing can be said about how this was made, and so nothing was signed."""


class NoSuchFile(NotFound):
    """There is no such file, and no server to ask for an asset."""


def register(app: typer.Typer) -> None:
    """Add the commands of disclosure."""
    keys = typer.Typer(help="The certificate that signs here.", no_args_is_help=True)
    keys.command("init")(_init)
    app.add_typer(keys, name="pki")
    app.command("disclose")(_disclose)
    app.command("verify")(_verify)


def _folder() -> Path:
    return Settings().secrets_folder / "pki"


def _init(
    renew: bool = typer.Option(False, "--renew", help="Make a new development chain beside the old one."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Make the development chain if there is none, and tell who signs here."""
    if renew:
        pki.make_development_chain(_folder(), renew=True)
    identity = pki.signing_identity(_folder())
    shown = {
        "folder": str(_folder()),
        "signer": identity.name,
        "algorithm": identity.algorithm,
        "fingerprint": identity.fingerprint.hex(),
        "not_after": identity.not_after.isoformat(),
        "development": identity.development,
    }
    if json:
        as_json(shown)
        return
    say(f"Signs here: {identity.name}")
    say(f"  {identity.algorithm}, until {identity.not_after:%Y-%m-%d}, SHA-256 {identity.fingerprint.hex()}")
    if identity.development:
        say("  This is a development certificate: it shows that a file is unchanged, and vouches for nobody's name.")
        say(f"  To sign as yourself, put chain.pem and key.pem into {_folder() / 'operator'}.")


def _disclose(
    what: str = typer.Argument(metavar="ASSET|FILE|FOLDER", help="An asset of the memory, a file, a watched folder."),
    out: Path | None = typer.Option(None, "--out", help="Where to write the signed copy."),
    new_files: RootDisclosure | None = typer.Option(
        None, "--new-files", help="Of a watched folder: how its new files are disclosed as they come."
    ),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Write a signed copy that says how a picture was made. The original is never changed.

    A file needs no server; where one runs and knows the file, the copy is remembered in its line. With --new-files the
    new files of a folder are disclosed as they come, in a copy beside each or in its place; its original is then kept
    in the store.
    """
    path = Path(what)
    if new_files is not None:
        _switch(path, new_files, json)
        return
    if path.is_dir():
        raise typer.BadParameter(
            f"{what} is a folder: name a file, or say --new-files copy", param_hint="ASSET|FILE|FOLDER"
        )
    if path.is_file():
        out = out or path.with_name(f"{path.stem}.disclosed{path.suffix}")
        if _asset_with(hash_file(path).sha256.hex()) is None:
            _disclose_file(path, out, json)
            return
        # The memory knows it: the copy then belongs to its line, with all that people attached.
    elif not server_is_known():
        raise NoSuchFile(what, hint="give the path of a file, or start a server with `memoryd up FOLDER`")
    client = server()
    made: dict[str, Any] = client.post(at(asset_of(what), "disclosures"))
    if out is not None:
        with out.open("xb") as copy:
            client.download(f"/disclosures/{made['id']}/file", copy)
        made["file"] = str(out)
    if json:
        as_json(made)
        return
    say(f"{'Signed' if made['new'] else 'Already signed'}: asset {made['disclosed_id']}")
    say(f"  says {made['source_type'].rsplit('/', 1)[-1]}, signed by {made['signer']}")
    if out is not None:
        say(f"  written to {out}")


def _switch(folder: Path, how: RootDisclosure, json: bool) -> None:
    switched = server().put("/disclosures/roots", {"root": str(folder.absolute()), "how": how.value})
    if json:
        as_json(switched)
        return
    said = {
        RootDisclosure.OFF: "are left as they are",
        RootDisclosure.COPY: "get a signed copy beside them",
        RootDisclosure.IN_PLACE: "are replaced by a signed copy; the original is kept in the store",
    }
    say(f"New files in {folder} {said[how]}. What is there already stays as it is.")


def _disclose_file(path: Path, out: Path, json: bool) -> None:
    statement = what_to_say(evidence_in_file(path))
    if isinstance(statement, Undecided):
        raise NothingToSay(statement.reason, hint=statement.hint)
    signed = sign_file(path, out, statement, pki.signing_identity(_folder()))
    if json:
        as_json(
            {
                "file": str(out),
                "sha256": signed.sha256.hex(),
                "source_type": statement.source_type.value,
                "manifest_id": signed.manifest_id,
                "signer": signed.signer,
                "kept": signed.kept.value,
                "parent_kept": signed.parent_kept,
            }
        )
        return
    say(f"Signed: {out}")
    say(f"  says {statement.source_type.word}: {'; '.join(statement.reasons)}")
    say(f"  signed by {signed.signer}; kept of the original: {signed.kept.value}")
    if signed.parent_kept:
        say("  the manifest that was there before is kept as its parent")


def _verify(
    file: Path = typer.Argument(help="The file to verify."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Tell what a file's signed disclosure is worth, and what it says. Needs no server, and fetches nothing."""
    verdict = VerdictShape.of(verify_file(file, pki.load_anchors(_folder())))
    asset = _asset_with(verdict.sha256)
    shown = verdict.model_dump(mode="json") | {"asset_id": asset}
    if json:
        as_json(shown)
    else:
        _show(shown)
    if verdict.state == "no-manifest":
        raise typer.Exit(NO_MANIFEST_EXIT_CODE)
    if not verdict.good:
        raise typer.Exit(BAD_VERDICT_EXIT_CODE)


def _show(verdict: dict[str, Any]) -> None:
    say(f"{verdict['state']}: {verdict['headline']}")
    if verdict["trusted_by"]:
        say(f"  trusted by {verdict['trusted_by']}")
    if verdict["software"]:
        say(f"  made with {verdict['software']}" + (f" at {verdict['made_at']}" if verdict["made_at"] else ""))
    for reason in verdict["reasons"]:
        say(f"  {'!' if reason['bad'] else '-'} {reason['layer']}: {reason['detail']}")
    if verdict["asset_id"]:
        say(f"  in the memory: asset {verdict['asset_id']}")
    if len(verdict["manifests"]) > 1:
        rows = [
            ("  " * item["depth"] + (item["relationship"] or "this file"), item["title"], item["generator"])
            for item in verdict["manifests"]
        ]
        table(["history", "what", "made by"], rows)


def server_is_known() -> bool:
    """Tell whether there is a server to ask, without asking it."""
    settings = Settings()
    return bool(settings.url) or (settings.home / "local.json").is_file()


def _asset_with(sha256: str | None) -> str | None:
    if sha256 is None or not server_is_known():
        return None
    try:
        found = server().get(f"/assets/{sha256}")
    except MemorydError:
        # Verifying needs no server: one that is away, or does not know the file, changes nothing.
        return None
    return str(found["id"]) if isinstance(found, dict) and "id" in found else None
