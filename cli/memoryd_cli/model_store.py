"""`models push|pull|stored|discard`: weights that the server keeps itself, for workers and people that lack them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from memoryd.foundation.errors import Conflict, NotAcceptable, NotFound
from memoryd.foundation.paging import PAGE_LIMIT
from memoryd.foundation.sizes import parse_size
from memoryd.model_registry.scanning import ROLE_FOLDERS
from memoryd.weights.describing import describe_model
from memoryd.weights.hashing import FileChanged, hash_file
from memoryd.weights.kinds import ModelKind
from memoryd_cli.client import Patience, ServerSilent, server
from memoryd_cli.output import as_json, errors, say, table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Bandwidth = Annotated[str | None, typer.Option(help="Bytes per second at most, such as 50M.")]

PART = 32 * 1024**2
"""Bytes of one part of a push: what a broken connection costs."""
CHUNK = 1024**2
SHORT = 12

_FOLDER_OF = {
    ModelKind.CHECKPOINT: "checkpoints",
    ModelKind.DIFFUSION_MODEL: "diffusion_models",
    ModelKind.LORA: "loras",
    ModelKind.VAE: "vae",
    ModelKind.TEXT_ENCODER: "text_encoders",
    ModelKind.CLIP_VISION: "clip_vision",
    ModelKind.CONTROLNET: "controlnet",
    ModelKind.IP_ADAPTER: "ipadapter",
    ModelKind.STYLE_MODEL: "style_models",
    ModelKind.EMBEDDING: "embeddings",
    ModelKind.UPSCALER: "upscale_models",
    ModelKind.HYPERNETWORK: "hypernetworks",
}
"""Where ComfyUI looks for each kind. Source: ComfyUI, folder_paths.py; ComfyUI_IPAdapter_plus."""

Tell = Callable[[int], None]


class NoFolder(NotAcceptable):
    """It cannot be told which of ComfyUI's folders these weights belong into."""


class NoBytes(NotAcceptable):
    """There is nothing in this file."""


class OtherFileThere(Conflict):
    """Another file has that name."""


class PulledWrong(Conflict):
    """What arrived is not what was asked for."""


class PushedOther(Conflict):
    """The file changed while it was sent."""


def register(models: typer.Typer) -> None:
    """Add the commands to those about models."""
    models.command("push")(push)
    models.command("pull")(pull)
    models.command("stored")(list_stored)
    models.command("discard")(discard)


def push(
    file: Annotated[Path, typer.Argument(help="The weights.", exists=True, dir_okay=False)],
    folder: Annotated[
        str | None, typer.Option(help="ComfyUI's folder for it: loras, vae … By default what path and header tell.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What graphs call it, below that folder.")] = None,
    bandwidth: Bandwidth = None,
    json: AsJson = False,
) -> None:
    """Bring weights into the server's model store. What is there is not sent again; the same command goes on after a break."""
    if file.stat().st_size == 0:
        raise NoBytes(f"{file} has no bytes", hint="push it when whoever writes it has finished")
    where, called = _place_of(file, folder, name)
    limit = parse_size(bandwidth) if bandwidth is not None else None
    with _progress(file.stat().st_size, "reading") as tell:
        found = hash_file(file, on_bytes=_counted(tell))
    sha256 = found.sha256.hex()
    asked = {"size": found.size, "folder": where, "name": called}
    with _progress(found.size, "sending") as tell:
        sent = _send(file, f"/models/stored/{sha256}", asked, limit, tell)
    if (file.stat().st_size, file.stat().st_mtime_ns) != (found.size, found.mtime_ns):
        raise PushedOther(str(file), hint="what was announced is in the store; push the new content too")
    if json:
        as_json({"sha256": sha256, **asked, "sent": sent})
    else:
        say(f"{where}/{called}  {sha256}  {f'{decimal(sent)} sent' if sent else 'was there'}")


def pull(
    ref: Annotated[str, typer.Argument(help="A SHA-256 or its beginning, folder/path, or a file's name.")],
    to: Annotated[Path, typer.Option(help="A folder, or a ComfyUI: then the folder that it looks at.")] = Path(),
    name: Annotated[str | None, typer.Option(help="Another name for it, below that folder.")] = None,
    bandwidth: Bandwidth = None,
    json: AsJson = False,
) -> None:
    """Fetch weights from the server's model store, checked by their hash; the same command goes on after a break."""
    client = server()
    sha256 = client.get(f"/models/{quote(ref.replace(chr(92), '/'))}")["sha256"]
    stored = client.get(f"/models/stored/{sha256}")
    target = _target(to, stored["folder"], name or stored["name"])
    fetched = _fetch(target, sha256, stored["size"], parse_size(bandwidth) if bandwidth is not None else None)
    if json:
        as_json({"sha256": sha256, "path": str(target), "size": stored["size"], "fetched": fetched})
    else:
        say(f"{target}  {sha256}  {f'{decimal(fetched)} fetched' if fetched else 'was there'}")


def list_stored(
    limit: Annotated[int, typer.Option(help="How many at most.")] = PAGE_LIMIT,
    json: AsJson = False,
) -> None:
    """List the server's model store: sizes, when each was last used, and what holds it."""
    answer = server().listed("/models/stored", limit=limit)
    if json:
        as_json(answer)
        return
    table(
        ("SHA-256", "SIZE", "NAME", "LAST USED", "USES", "STAYS BECAUSE"),
        (
            (
                one["sha256"][:SHORT],
                decimal(one["size"]),
                f"{one['folder']}/{one['name']}",
                one["last_used_at"][:16],
                one["uses"],
                one["needed_by"] or "",
            )
            for one in answer["items"]
        ),
    )
    room = f" of {decimal(answer['limit'])}" if answer["limit"] is not None else ""
    say(f"{answer['count']} models, {decimal(answer['size'])}{room}")
    if answer["next_cursor"]:
        say("… and more: --limit shows more of them")


def discard(
    ref: Annotated[str, typer.Argument(help="A SHA-256 or its beginning, folder/path, or a file's name.")],
    json: AsJson = False,
) -> None:
    """Take weights out of the server's model store, unless jobs or approved pictures need them."""
    client = server()
    sha256 = client.get(f"/models/{quote(ref.replace(chr(92), '/'))}")["sha256"]
    gone = client.delete(f"/models/stored/{sha256}")
    if json:
        as_json({"sha256": sha256, **gone})
    else:
        say(f"{sha256}  {decimal(gone['size'])} are free")


def _place_of(file: Path, folder: str | None, name: str | None) -> tuple[str, str]:
    """Return the folder and the name of a file: as given, else by where it lies, else by its header."""
    parts = file.absolute().parts
    roles = [at for at, part in enumerate(parts[:-1]) if part in ROLE_FOLDERS and parts[at - 1 : at] == ("models",)]
    below = "/".join(parts[roles[-1] + 1 :]) if roles and folder in (None, parts[roles[-1]]) else file.name
    if folder is None:
        kind = describe_model(file, file.name).kind
        folder = parts[roles[-1]] if roles else _FOLDER_OF.get(kind)
    if folder is None:
        raise NoFolder(file.name, hint="name it: --folder checkpoints, loras, vae …")
    return folder, name or below


def _send(file: Path, path: str, asked: dict[str, Any], limit: int | None, tell: Tell) -> int:
    """Send what the server lacks, from where it ends; return how many bytes that was."""
    client, patience = server(), Patience()
    sent, began = 0, time.monotonic()
    while True:
        try:
            state = client.post(path, json=asked)
            patience.heard()
            while state["state"] == "wanted":
                offset = state["offset"]
                length = min(PART, asked["size"] - offset)
                tell(offset)
                if length <= 0:
                    break
                state = client.send(path, _chunks(file, offset, length, limit), length=length, offset=offset)
                sent += length
                patience.heard()
            while state["state"] != "stored":
                # `checking`: it reads all of it back, which takes a while for many gigabytes.
                state = client.post(f"{path}/finish", json=asked)
                if state["state"] == "wanted":
                    break
                patience.heard()
            else:
                tell(asked["size"])
                return sent
        except ServerSilent as error:
            patience.wait(error)
        except Conflict as error:
            # Somebody else pushes the same, or a part was cut off: the server says where it ends. Not for ever.
            if time.monotonic() - began > _CONFLICT_LIMIT_S or "arrived" in error.detail:
                raise
            time.sleep(_AGAIN_S)


_CONFLICT_LIMIT_S = 24 * 3600.0
_AGAIN_S = 1.0


def _chunks(file: Path, offset: int, length: int, limit: int | None) -> Iterator[bytes]:
    began, done = time.monotonic(), 0
    with file.open("rb") as source:
        source.seek(offset)
        while done < length and (chunk := source.read(min(CHUNK, length - done))):
            yield chunk
            done += len(chunk)
            _pause(began, done, limit)
    if done < length:
        raise FileChanged(f"{file} became shorter", hint="push it again when its writer has finished")


def _pause(began: float, done: int, limit: int | None) -> None:
    if limit is not None:
        time.sleep(max(0.0, began + done / limit - time.monotonic()))


def _target(to: Path, folder: str, name: str) -> Path:
    """Return where pulled weights belong. Raises: NotAcceptable for a name that leads elsewhere."""
    if name.startswith("/") or ".." in name.split("/"):
        raise NotAcceptable(f"{name!r} leads elsewhere", hint="give it a --name")
    for home in (to / "models", to):
        if home.is_dir() and ((home / folder).is_dir() or home != to):
            return home / folder / name
    if not to.is_dir():
        raise NotFound(f"{to} is no folder", hint="make it first")
    return to / name.rsplit("/", 1)[-1]


def _fetch(target: Path, sha256: str, size: int, limit: int | None) -> int:
    """Bring weights to a file that is whole or not there; return the bytes that came."""
    if target.exists():
        with _progress(target.stat().st_size, "reading") as tell:
            if hash_file(target, on_bytes=_counted(tell)).sha256.hex() == sha256:
                return 0
        raise OtherFileThere(str(target), hint="it stays; give the pulled one another --name")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{sha256[:16]}.part")
    came = 0
    with _progress(size, "fetching") as tell:
        came = _arrive(part, sha256, size, limit, tell)
    with _progress(size, "checking") as tell:
        found = hash_file(part, on_bytes=_counted(tell)).sha256.hex()
    if found != sha256:
        part.unlink()
        raise PulledWrong(f"SHA-256 {found} arrived, nothing of it is kept", hint="pull it again; `memoryd doctor`")
    with part.open("rb") as file:
        os.fsync(file.fileno())
    # Linked, not renamed: a file that somebody put there meanwhile is not replaced.
    try:
        target.hardlink_to(part)
    except FileExistsError:
        raise OtherFileThere(str(target), hint="it stays; give the pulled one another --name") from None
    except OSError:
        part.rename(target)
    part.unlink(missing_ok=True)
    return came


def _arrive(part: Path, sha256: str, size: int, limit: int | None, tell: Tell) -> int:
    client, patience, came = server(), Patience(), 0
    while not part.exists() or part.stat().st_size < size:
        present = part.stat().st_size if part.exists() else 0
        try:
            with (
                client.part(f"/models/{sha256}/content", present, f'"{sha256}"') as (first, chunks),
                part.open("r+b" if first else "wb") as file,
            ):
                patience.heard()
                file.seek(first)
                began, done = time.monotonic(), 0
                for chunk in chunks:
                    file.write(chunk)
                    done, came = done + len(chunk), came + len(chunk)
                    tell(first + done)
                    _pause(began, done, limit)
        except ServerSilent as error:
            patience.wait(error)
    return came


def _counted(tell: Tell) -> Tell:
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        tell(done)

    return count


@contextlib.contextmanager
def _progress(total: int, what: str) -> Iterator[Tell]:
    """A bar on standard error where that is a terminal; nothing otherwise."""
    if not errors.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=errors, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
