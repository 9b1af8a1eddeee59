"""`import`: what other galleries, and files' own XMP, say of pictures. Read here, matched and kept by the server."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from memoryd.catalog.importing import FILES_LIMIT, PeerSource
from memoryd.catalog.peers import READERS, PeerFile
from memoryd.catalog.xmp_marks import PACKET_LIMIT, read_marks
from memoryd.foundation.errors import MemorydError, NotAcceptable
from memoryd.plugin_api.door import HEAD_SIZE, choose_plugin, read_stream
from memoryd.weights.hashing import hash_file
from memoryd_cli.client import server
from memoryd_cli.output import as_json, say
from memoryd_cli.search import AsJson

Project = Annotated[
    str | None, typer.Option("--project", "-p", help="For which project, where pictures are in several.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask after the dry run.")]
Map = Annotated[list[str] | None, typer.Option("--map", help="OLD=NEW: where files lie now that were at OLD.")]

XMP_KEY = "XML:com.adobe.xmp"
"""The key of a packet among a file's texts, whatever its container."""

SHOWN_LIMIT = 20
"""Files that were not taken, as they are listed for people; `--json` lists all."""

_COUNTS = ("tags", "ratings", "collections", "rejected", "kept")


class NothingToImport(NotAcceptable):
    """There is nothing to take over."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    parts = typer.Typer(help="Take over tags, ratings and collections from elsewhere.", no_args_is_help=True)
    parts.command("iib")(iib)
    parts.command("smartgallery")(smartgallery)
    parts.command("xmp")(xmp)
    app.add_typer(parts, name="import")


def iib(
    database: Annotated[Path, typer.Argument(help="Its database: iib.db")],
    project: Project = None,
    moved: Map = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Tags and favourites of Infinite Image Browsing."""
    _import(PeerSource.IIB, READERS["iib"](database), project, moved, dry_run=dry_run, yes=yes, json=json)


def smartgallery(
    database: Annotated[Path, typer.Argument(help="Its database: gallery_cache.sqlite")],
    project: Project = None,
    moved: Map = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Favourites, ratings, collections and flags of SmartGallery."""
    found = READERS["smartgallery"](database)
    _import(PeerSource.SMARTGALLERY, found, project, moved, dry_run=dry_run, yes=yes, json=json)


def xmp(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures with XMP in them or beside them, or one file.")],
    project: Project = None,
    moved: Map = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: AsJson = False,
) -> None:
    """Ratings and subjects that photo tools wrote into files, or into .xmp files beside them."""
    if not folder.exists():
        raise NothingToImport(f"{folder} is not there", hint="name a folder of pictures, or one file")
    _import(PeerSource.XMP, list(read_folder(folder)), project, moved, dry_run=dry_run, yes=yes, json=json)


def read_folder(folder: Path) -> Iterator[PeerFile]:
    """Yield what XMP says of the files of a folder; a sidecar outweighs the packet in the file. Unreadable ones are told."""
    for path in _walk(folder):
        if path.suffix.lower() == ".xmp":
            continue
        sidecar = next((beside for beside in _sidecars(path) if beside.is_file()), None)
        try:
            packets = [_bounded(sidecar)] if sidecar is not None else list(_embedded(path))
            size = path.stat().st_size
        except (OSError, MemorydError) as error:
            say(f"not read: {path} ({error})")
            continue
        for packet in packets[:1]:
            marks = read_marks(packet)
            if marks.fault is not None:
                say(f"not read: XMP of {path} ({marks.fault})")
            told = PeerFile(
                path=str(path.resolve()),
                size=size or None,
                tags=marks.subjects,
                stars=marks.stars,
                rejected=marks.rejected,
            )
            if told.says_something:
                yield told


def _walk(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place) / name
            if not name.startswith(".") and path.is_file() and not path.is_symlink():
                yield path


def _sidecars(path: Path) -> tuple[Path, ...]:
    # Lightroom replaces the ending, darktable and digiKam append theirs.
    return path.with_name(path.name + ".xmp"), path.with_suffix(".xmp"), path.with_suffix(".XMP")


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(PACKET_LIMIT + 1)


def _embedded(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        plugin = choose_plugin(file.read(HEAD_SIZE))
        file.seek(0)
        if plugin is not None:
            yield from (one.raw for one in read_stream(plugin, file).carriers if one.key == XMP_KEY)


def _import(
    source: PeerSource,
    files: Sequence[PeerFile],
    project: str | None,
    moved: Sequence[str] | None,
    *,
    dry_run: bool,
    yes: bool,
    json: bool,
) -> None:
    _check_moved(moved or ())
    if not files:
        raise NothingToImport("no file has tags, stars or collections there", hint="is it the right file or folder?")
    files = [dataclasses.replace(file, path=_moved(file.path, moved or ())) for file in files]
    tried, hashed = _send(source, files, project, dry_run=True)
    if not dry_run and not json:
        _say(tried, done=False)
    if dry_run or not any(tried[name] for name in _COUNTS[:-1]):
        as_json(tried) if json else _say(tried, done=False)
        return
    if not yes:
        typer.confirm("Take this over?", abort=True, err=True)
    done, _ = _send(source, hashed, project, dry_run=False)
    as_json(done) if json else _say(done, done=True)


def _check_moved(moved: Sequence[str]) -> None:
    for one in moved:
        old, equals, _ = one.partition("=")
        if not equals or not old:
            raise typer.BadParameter(f"{one!r}: OLD=NEW is meant", param_hint="--map")


def _moved(path: str, moved: Sequence[str]) -> str:
    for one in moved:
        old, _, new = one.partition("=")
        if path.startswith(old):
            return new + path[len(old) :]
    return path


def _send(
    source: PeerSource, files: Sequence[PeerFile], project: str | None, *, dry_run: bool
) -> tuple[dict[str, Any], list[PeerFile]]:
    """Return the sum of the answers, and the files with the hashes that were needed to find them."""
    total: dict[str, Any] = {
        "files": 0,
        "matched": Counter(),
        **dict.fromkeys(_COUNTS, 0),
        "not_taken": [],
        "unfit": [],
    }
    sent: list[PeerFile] = []
    for first in range(0, len(files), FILES_LIMIT):
        part = list(files[first : first + FILES_LIMIT])
        answer = _post(source, part, project, dry_run)
        lost = {one["path"] for one in answer["not_taken"] if one["unknown"]}
        again = [hashed for file in part if file.path in lost and (hashed := _hashed(file)) is not None]
        if again:
            found = {file.path for file in again}
            answer["not_taken"] = [one for one in answer["not_taken"] if one["path"] not in found]
            answer["files"] -= len(again)
            _add(total, _post(source, again, project, dry_run))
            part = [file for file in part if file.path not in found] + again
        _add(total, answer)
        sent += part
    return {**total, "matched": dict(total["matched"]), "unfit": sorted(set(total["unfit"]))}, sent


def _post(source: PeerSource, files: Iterable[PeerFile], project: str | None, dry_run: bool) -> dict[str, Any]:
    shapes = [
        {**dataclasses.asdict(file), "sha256": None if file.sha256 is None else file.sha256.hex()} for file in files
    ]
    body = {"source": source.value, "files": shapes, "project": project, "dry_run": dry_run}
    answer: dict[str, Any] = server().post("/imports", body)
    return answer


def _hashed(file: PeerFile) -> PeerFile | None:
    """Return a file with its content's hash, where it lies on this machine and was not hashed before."""
    if file.sha256 is not None:
        return None
    try:
        path = Path(file.path)
        return dataclasses.replace(file, sha256=hash_file(path).sha256) if path.is_file() else None
    except (OSError, ValueError):
        return None


def _add(total: dict[str, Any], answer: dict[str, Any]) -> None:
    total["matched"].update(answer["matched"])
    for name in ("files", *_COUNTS):
        total[name] += answer[name]
    for name in ("not_taken", "unfit"):
        total[name] += answer[name]


def _say(total: dict[str, Any], *, done: bool) -> None:
    found = ", ".join(f"{count} by {how}" for how, count in sorted(total["matched"].items())) or "none"
    say(f"{total['files']} files, found here: {found}.")
    verb = "Taken over" if done else "Would be taken over"
    say(
        f"{verb}: {total['tags']} tags, {total['ratings']} ratings, {total['collections']} in collections,"
        f" {total['rejected']} rejected. Stays as it is here: {total['kept']}."
    )
    for one in total["not_taken"][:SHOWN_LIMIT]:
        say(f"  not taken: {one['path']} ({one['why']})")
    if len(total["not_taken"]) > SHOWN_LIMIT:
        say(f"  and {len(total['not_taken']) - SHOWN_LIMIT} more: --json lists all")
    if total["unfit"]:
        say(f"  no tag can be called: {', '.join(total['unfit'][:SHOWN_LIMIT])}")
