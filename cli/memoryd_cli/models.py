"""`models`: which weights there are, under which names, and which licences somebody named for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from memoryd.model_registry.facts import Observation, PresentName, Recorded, ScanProgress
from memoryd.model_registry.scanning import Survey, gone_names, is_batch_full, scan, survey_folder
from memoryd.model_registry.scans import this_machine
from memoryd.model_registry.wire import ObservationShape, PresentNameShape
from memoryd_cli import model_store
from memoryd_cli.client import Client, server
from memoryd_cli.output import as_json, errors, plain, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

SHORT = 12
"""Hex digits of a hash that a list shows; enough to name the model in other commands."""
INTERRUPTED_EXIT_CODE = 130


def register(app: typer.Typer) -> None:
    """Add the commands about models."""
    models = typer.Typer(no_args_is_help=True, help="Model files: what they are, by their bytes; names, licences.")
    models.command("scan")(scan_models)
    models.command("list")(list_models)
    models.command("show")(show_model)
    models.command("licence")(state_licence)
    model_store.register(models)
    app.add_typer(models, name="models")


def scan_models(
    folder: Annotated[Path, typer.Argument(help="A ComfyUI, its models folder, or any folder with model files.")],
    worker: Annotated[str | None, typer.Option(help="Name of the machine whose folder it is.")] = None,
    json: AsJson = False,
) -> None:
    """Hash the model files of a folder and record them. Unchanged files are passed over; Ctrl-C loses nothing."""
    survey = survey_folder(folder)
    scanned = _Scan(server(), worker or this_machine(), survey)
    scanned.run(folder)
    if json:
        as_json(scanned.outcome())
    else:
        _say_outcome(scanned.outcome())
    if scanned.interrupted:
        raise typer.Exit(INTERRUPTED_EXIT_CODE)


def list_models(
    kind: Annotated[str | None, typer.Option(help="checkpoint, lora, vae …")] = None,
    folder: Annotated[str | None, typer.Option(help="Only models with a present name in this folder.")] = None,
    unlicensed: Annotated[bool, typer.Option("--unlicensed", help="Only those nobody named a licence for.")] = False,
    limit: Annotated[int | None, typer.Option(help="How many at most.")] = None,
    json: AsJson = False,
) -> None:
    """List models, the newest first."""
    answer = server().get("/models", kind=kind, folder=folder, licensed=False if unlicensed else None, limit=limit)
    if json:
        as_json(answer)
        return
    table(
        ("SHA-256", "KIND", "BASE", "SIZE", "NAME", "LICENCE"),
        (
            (
                model["sha256"][:SHORT],
                model["kind"],
                model["base"] or "unknown",
                decimal(model["size"]),
                _first_name(model),
                _licence(model["licence"]),
            )
            for model in answer["items"]
        ),
    )
    if answer["next_cursor"]:
        say("… and more: --limit shows more of them")


def show_model(
    ref: Annotated[str, typer.Argument(help="A SHA-256 or its beginning, folder/path, or a file's name.")],
    json: AsJson = False,
) -> None:
    """Show everything that is known about a model."""
    model = server().get(f"/models/{quote(ref.replace(chr(92), '/'))}")
    if json:
        as_json(model)
        return
    say(f"sha256   {model['sha256']}")
    say(f"kind     {model['kind']}")
    say(f"base     {model['base'] or 'unknown'}")
    say(f"size     {decimal(model['size'])}")
    for licence in model["licences"]:
        address = f" <{licence['url']}>" if licence["url"] else ""
        say(f"licence  {_licence(licence)}{address}")
    if not model["licences"]:
        say("licence  unknown: nobody named one")
    for name in model["names"]:
        until = f" until {name['seen_to']}" if name["seen_to"] else ""
        say(f"name     {_path(name)} on {name['worker']} since {name['seen_from']}{until}")
    for algorithm, value in model["aliases"].items():
        say(f"alias    {algorithm} {value} (stated by the file)")
    for key, value in model["stated"].get("metadata", {}).items():
        say(f"says     {key}: {value}")
    for finding in model["findings"]:
        say(f"finding  {finding['code']}: {finding['detail']}")


def state_licence(
    ref: Annotated[str, typer.Argument(help="A SHA-256 or its beginning, folder/path, or a file's name.")],
    name: Annotated[str, typer.Argument(help="An SPDX id, or the licence's title.")],
    url: Annotated[str | None, typer.Option(help="Where its text can be read.")] = None,
    version: Annotated[str, typer.Option(help="Its version.")] = "",
    json: AsJson = False,
) -> None:
    """Name a licence for a model. It is recorded as your statement, not as permission."""
    body = {"name": name, "url": url, "version": version}
    stated = server().post(f"/models/{quote(ref.replace(chr(92), '/'))}/licences", json=body)
    if json:
        as_json({"items": stated})
        return
    for licence in stated:
        say(f"licence  {_licence(licence)}")


class _Scan:
    """One scan: read here, recorded there."""

    def __init__(self, client: Client, worker: str, survey: Survey) -> None:
        self.client, self.worker, self.survey = client, worker, survey
        self.total, self.read, self.interrupted = Recorded(), 0, False
        self.findings = [finding.as_json() for finding in survey.findings]

    def run(self, folder: Path) -> None:
        known = _known(self.client, self.worker, self.survey.root_name)
        batch: list[Observation] = []
        with _progress(sum(file.size for file in self.survey.files)) as tell:
            try:
                for seen in scan(self.survey.files, known, on_progress=tell):
                    batch.append(seen)
                    if is_batch_full(batch):
                        self.post(batch)
                        batch = []
            except KeyboardInterrupt:
                self.interrupted = True
        self.post(batch, [] if self.interrupted else gone_names(self.survey, known, folder))

    def post(self, batch: Sequence[Observation], gone: Sequence[tuple[str, str]] = ()) -> None:
        for seen in batch:
            self.findings += [{**finding.as_json(), "where": seen.path} for finding in seen.facts.findings]
        body = {
            "worker": self.worker,
            "root": self.survey.root_name,
            "items": [ObservationShape.of(seen).model_dump(mode="json") for seen in batch],
            "gone": [{"folder": folder, "path": path} for folder, path in gone],
        }
        self.total += Recorded(**self.client.post("/models/observations", json=body))
        self.read += len(batch)

    def outcome(self) -> dict[str, Any]:
        return {
            "root": self.survey.root_name,
            "worker": self.worker,
            "files": len(self.survey.files),
            "files_read": self.read,
            "models_new": self.total.models_new,
            "names_new": self.total.names_new,
            "names_changed": self.total.names_changed,
            "names_gone": self.total.names_gone,
            "complete": not self.interrupted,
            "findings": self.findings,
        }


def _known(client: Client, worker: str, root: str) -> dict[tuple[str, str], PresentName]:
    known: dict[tuple[str, str], PresentName] = {}
    cursor: str | None = None
    while True:
        page = client.get("/models/names", worker=worker, root=root, cursor=cursor)
        for item in page["items"]:
            name = PresentNameShape.model_validate(item).name()
            known[name.folder, name.path] = name
        cursor = page["next_cursor"]
        if cursor is None:
            return known


@contextmanager
def _progress(total: int) -> Iterator[Callable[[ScanProgress], None]]:
    """A bar on standard error where that is a terminal; nothing otherwise."""
    if not errors.is_terminal:
        yield lambda _: None
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.description}", markup=False), console=errors, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda told: bar.update(task, completed=told.bytes_done, description=plain(told.current))


def _say_outcome(outcome: dict[str, Any]) -> None:
    say(
        f"{outcome['root']}: {outcome['files']} files, {outcome['files_read']} read;"
        f" {outcome['models_new']} new models, {outcome['names_new']} new names,"
        f" {outcome['names_changed']} changed, {outcome['names_gone']} gone"
    )
    for finding in outcome["findings"]:
        say(f"finding  {finding['where']}: {finding['code']}: {finding['detail']}")
    if not outcome["complete"]:
        say("interrupted: what was read is recorded; the same command goes on from there")


def _licence(licence: dict[str, Any] | None) -> str:
    if licence is None:
        return "unknown"
    version = f" {licence['version']}" if licence["version"] else ""
    return f"{licence['name']}{version} (stated by {'the file' if licence['stated_by'] == 'file' else 'a person'})"


def _first_name(model: dict[str, Any]) -> str:
    return _path(model["names"][0]) if model["names"] else ""


def _path(name: dict[str, Any]) -> str:
    return f"{name['folder']}/{name['path']}" if name["folder"] else str(name["path"])
