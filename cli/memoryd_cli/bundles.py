"""`bundle`: all that making an asset again takes in one file; checked offline; made again, here or on a bare ComfyUI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from memoryd.disclosure.pki import Anchors, load_anchors
from memoryd.foundation.errors import Conflict, NotFound
from memoryd.foundation.settings import Settings
from memoryd.reproduction.bundles.bare.running import TIMEOUT_S
from memoryd_cli.attempts import say_attempt
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say
from memoryd_cli.reproduction import EXIT_CODES, decided
from memoryd_cli.search import AsJson, asset_of, at

BAD_BUNDLE_EXIT_CODE = 10
"""`bundle verify` ends with this where the bundle was changed, is not whole, or is not signed."""

BundleFile = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle's file (x.zip).")]


class FileThere(Conflict):
    """There is a file already where this would be written."""


class NoBundle(NotFound):
    """There is no such file."""


class BadAnchor(Conflict):
    """This file holds no certificates."""


class Bundles(TyperGroup):
    """`bundle ASSET -o x.zip` is `bundle make ASSET -o x.zip`."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Take anything that is no command of ours for what is to be bundled."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["make", *args]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bundle = typer.Typer(
        cls=Bundles,
        no_args_is_help=True,
        help="All that making an asset again takes, in one signed file: memoryd bundle ASSET -o x.zip",
    )
    bundle.command("make")(make)
    bundle.command("verify")(verify)
    bundle.command("run")(run)
    app.add_typer(bundle, name="bundle")


def make(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="Its id, 8 or more digits of its SHA-256, or a path.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write.")],
    original: Annotated[
        bool, typer.Option("--original/--no-original", help="With the original file, or its SHA-256 alone.")
    ] = True,
    receipts: Annotated[
        bool, typer.Option("--receipts/--no-receipts", help="With the verdicts on attempts to make it again.")
    ] = True,
) -> None:
    """Write a bundle: documents with their prompts, inputs, models by hash, environment, verdicts, licences.

    Whoever gets it learns all of that. README.md in it says how to make the picture again without memoryd.
    """
    try:
        with out.open("xb") as target:
            size = server().download(at(asset_of(asset), "bundle"), target, original=original, receipts=receipts)
    except FileExistsError:
        raise FileThere(str(out), hint="name another file with -o") from None
    except BaseException:
        out.unlink(missing_ok=True)
        raise
    say(f"{out}: {size} bytes. It holds the prompts and inputs; README.md in it says what to do")
    say(f"Check it anywhere: memoryd bundle verify {out}")


def verify(
    bundle: BundleFile,
    anchor: Annotated[
        Path | None, typer.Option("--anchor", metavar="PEM", help="Trust signers under this root certificate too.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Verify a bundle offline: every file's hash, nothing missing, nothing beside, who signed it, what is missing in it.

    Exit codes: 0 good, 10 changed, not whole, or not signed. No server is asked, nothing is unpacked.
    """
    found = _checked(bundle, anchor)
    if json:
        as_json(_as_json(found))
    else:
        _say(found)
    if not found.good:
        raise typer.Exit(BAD_BUNDLE_EXIT_CODE)


def run(
    bundle: BundleFile,
    comfyui: Annotated[
        str | None, typer.Option(metavar="URL", help="On this bare ComfyUI; no server is needed, nothing is recorded.")
    ] = None,
    models_dir: Annotated[
        Path | None, typer.Option(help="With --comfyui: its models folder, where the SHA-256 are checked.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --comfyui: replace another file of an input's name.")
    ] = False,
    out: Annotated[Path, typer.Option("-o", "--out", help="With --comfyui: folder for what comes out.")] = Path("made"),
    timeout: Annotated[float, typer.Option(help="With --comfyui: seconds to wait for a run.")] = TIMEOUT_S,
    project: Annotated[str, typer.Option("--project", "-p", help="Whose it is here.")] = "default",
    pool: Annotated[str, typer.Option(help="Pool whose workers make it.")] = "default",
    trust_unknown: Annotated[
        bool, typer.Option("--trust-unknown", help="You know whom it is from, though no signer is known here.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the verdict.")] = False,
    json: AsJson = False,
) -> None:
    """Make a bundle's picture again: on this server's workers, or on a bare ComfyUI. No program out of it is run.

    Exit codes with --wait or --comfyui: 0 identical file or pixels, 10 within tolerance, 11 different,
    12 not attempted, 13 similar.
    """
    if comfyui is not None:
        _run_bare(
            bundle,
            comfyui,
            models_dir=models_dir,
            overwrite=overwrite,
            out=out,
            timeout=timeout,
            trust_unknown=trust_unknown,
            json=json,
        )
        return
    if not bundle.is_file():
        raise NoBundle(str(bundle), hint="`memoryd bundle ASSET -o FILE` makes one")
    client = server()
    fields = {"project": project, "pool": pool, "trust_unknown": str(trust_unknown).lower()}
    taken = client.upload("/bundles", bundle, **fields)
    attempt = decided(client, taken["attempt"]) if wait else taken["attempt"]
    if json:
        as_json({**taken, "attempt": attempt})
    else:
        say(f"asset {taken['asset_id']}: {_signer(taken['seal'])}")
        if taken["recorded_here"]:
            say("  a run of it is recorded here: that counts, not what the bundle says")
        if not taken["has_original"]:
            say("  without the original's bytes: its SHA-256 alone decides")
        say_attempt(attempt)
    if wait:
        raise typer.Exit(EXIT_CODES[attempt["verdict"]])


def _run_bare(
    bundle: Path,
    comfyui: str,
    *,
    models_dir: Path | None,
    overwrite: bool,
    out: Path,
    timeout: float,
    trust_unknown: bool,
    json: bool,
) -> None:
    from memoryd.reproduction.bundles.bare.engine import Engine
    from memoryd.reproduction.bundles.bare.opening import Bundle, NotAttempted
    from memoryd.reproduction.bundles.bare.running import run as run_bare
    from memoryd.reproduction.bundles.comparing import compare

    found = _checked(bundle, None)
    if not found.whole or not (found.signed or found.unsigned):
        _say(found)
        raise typer.Exit(EXIT_CODES["not attempted"])
    if found.seal.trusted_by is None and not trust_unknown:
        raise Conflict(
            "nobody trusted here vouches for this bundle",
            hint="look at it with `memoryd bundle verify`; if you know whom it is from, --trust-unknown",
        )
    told: list[str] = []
    try:
        result = run_bare(
            Bundle(bundle),
            Engine(comfyui),
            out=out,
            models_dir=models_dir,
            overwrite=overwrite,
            timeout_s=timeout,
            say=told.append if json else say,
            compare=compare,
        )
        verdict, detail, made = result
    except NotAttempted as error:
        verdict, detail, made = "not attempted", f"{error}", None
    if json:
        as_json({"verdict": verdict, "detail": detail, "made": str(made) if made else None, "told": told})
    else:
        say(f"verdict: {verdict}")
        say(f"  {detail}")
    raise typer.Exit(EXIT_CODES[verdict])


def _checked(bundle: Path, anchor: Path | None) -> Any:
    from memoryd.reproduction.bundles.checking import check_bundle

    anchors = load_anchors(Settings().secrets_folder / "pki")
    try:
        if anchor is not None:
            anchors = Anchors(
                development_pem=anchors.development_pem,
                operator_pem=f"{anchors.operator_pem}\n{anchor.read_text('ascii')}",
            )
        with bundle.open("rb") as stream:
            return check_bundle(stream, anchors)
    except UnicodeDecodeError:
        raise BadAnchor(str(anchor), hint="name a PEM file") from None
    except OSError as error:
        raise NoBundle(f"{error.filename}: {error.strerror}", hint="`memoryd bundle ASSET -o FILE` makes one") from None


def _as_json(found: Any) -> dict[str, Any]:
    return {
        "good": found.good,
        "troubles": list(found.troubles),
        "files": found.files,
        "size": found.size,
        "seal": {
            "state": found.seal.state.value,
            "detail": found.seal.detail,
            "signer": found.seal.signer,
            "signed_at": found.seal.signed_at,
            "trusted_by": found.seal.trusted_by,
        },
        "manifest": found.manifest.model_dump(mode="json") if found.manifest else None,
    }


def _say(found: Any) -> None:
    said = found.manifest
    say(f"{'good' if found.good else 'NOT GOOD'}: {found.files} files, {found.size} bytes")
    for trouble in found.troubles:
        say(f"  NO {trouble}")
    say(f"  {found.seal.state.value}: {found.seal.detail}")
    if found.signed:
        say(f"  {_signer({'signer': found.seal.signer, 'trusted_by': found.seal.trusted_by})}")
    if said is None:
        return
    asset = said.asset
    say(f"original: {asset.original_sha256} ({'in it' if asset.original_file else 'not in it'})")
    say(f"inputs: {len(said.inputs)}")
    for model in said.models:
        say(f"model {model.folder}/{model.name}: {model.sha256 or 'content unknown'}")
    say(f"environment: {said.environment.sha256 if said.environment else 'unknown'}")
    for verdict in said.verdicts:
        say(f"made again {verdict.decided_at:%Y-%m-%d %H:%M}: {verdict.verdict}")
    for cause in (*said.plan.missing, *said.plan.notices):
        say(f"  {cause.code}: {cause.detail}")


def _signer(seal: dict[str, Any]) -> str:
    if seal["signer"] is None:
        return "not signed"
    trusted = f"trusted by {seal['trusted_by']}" if seal["trusted_by"] else "nobody trusted here vouches for the signer"
    return f"signed by {seal['signer']}; {trusted}"
