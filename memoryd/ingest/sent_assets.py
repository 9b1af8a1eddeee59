"""Files that were read on another machine: facts without bytes, or with them. Whatever is claimed is recorded as claimed,
and gives way to the bytes as soon as somebody brings them.

The texts are understood here; nothing that a sender made of them is believed. Content that this memory knows from its
bytes takes no facts from a claim, and content that the caller cannot see is not touched without proof of its bytes.
"""

from __future__ import annotations

import dataclasses
import datetime
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from memoryd.access import projects
from memoryd.access.facts import Caller, Scope
from memoryd.catalog import places, thumbnails
from memoryd.catalog import roots as catalog_roots
from memoryd.catalog.facts import AssetKind, Custody, LocationRecord, MadeSource, RootWatcher, WatchRoot
from memoryd.foundation.database import Database, Session, TenantScope
from memoryd.foundation.errors import MemorydError, NotAcceptable, NotFound
from memoryd.foundation.findings import Finding
from memoryd.foundation.ids import AssetId, WatchRootId
from memoryd.foundation.texts import storable
from memoryd.imaging.decoding import read_shape
from memoryd.imaging.thumbnails import THUMBNAIL_MEDIA_TYPE, THUMBNAIL_RECIPE, thumbnail
from memoryd.ingest import queries
from memoryd.ingest.assembling import Assembled, Content, Stopwatch, assemble
from memoryd.ingest.asset_wire import AssetAnswer, AssetsAnswer, AssetSent, AssetsSent, SentState
from memoryd.ingest.attributing import folder_for
from memoryd.ingest.facts import FileState, Folder, Prepared, PreparedFile
from memoryd.ingest.knowledge import knowing
from memoryd.ingest.recording import record
from memoryd.ingest.uploads import UPLOAD_LIMIT, understand_stored
from memoryd.plugin_api.facts import Carrier, Reading
from memoryd.storage.blob_store import BlobStore
from memoryd.storage.blobs import register
from memoryd.storage.facts import StoredBlob

SENT = "sent:"
"""What the plugin's name of a claimed reading begins with: the bytes' own reading replaces it."""

SENT_THUMBNAIL_SIZE = 256

_KINDS = {
    "image": AssetKind.IMAGE,
    "video": AssetKind.VIDEO,
    "audio": AssetKind.AUDIO,
    "model": AssetKind.MODEL3D,
}


class BytesDiffer(NotAcceptable):
    """The bytes that were sent are not those that were announced."""


class BytesUnannounced(NotAcceptable):
    """A file came along that no asset of the request speaks of."""


class NotYourRoot(NotFound):
    """There is no such folder of yours."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SentFile:
    """A file that came along: its SHA-256 as announced (hex) and its bytes."""

    announced: str
    stream: BinaryIO


def record_sent(
    database: Database,
    scope: TenantScope,
    store: BlobStore,
    sent: AssetsSent,
    files: Sequence[SentFile],
    caller: Caller,
) -> AssetsAnswer:
    """Record files of another machine; the same again changes nothing. Return what became of each, in order.

    Raises: BytesDiffer, BytesUnannounced (nothing is recorded then), NotYourRoot, ProjectNotFound, BlobTooLarge.
    """
    stored = _stored(store, scope, sent, files)
    with database.tenant_work(scope) as session:
        folder = _folder(session, sent, caller)
        known = queries.list_sent_contents(session, [bytes.fromhex(one.sha256) for one in sent.assets], caller.sees)
    folder = knowing(folder, database, scope)
    ready: list[tuple[int, PreparedFile]] = []
    for index, one in enumerate(sent.assets):
        blob = stored.get(one.sha256)
        whose = folder.for_path(place_of(one.path))
        if blob is not None:
            ready.append((index, _from_bytes(store, scope, one, blob, whose, folder)))
            continue
        told = known.get(bytes.fromhex(one.sha256))
        if told is None or told.seen:
            ready.append((index, _from_claim(one, whose, folder, read_from_bytes=told is not None and told.read)))
    small = {one.sha256: _thumbnail(one.thumbnail) for one in sent.assets if one.thumbnail and one.sha256 not in stored}
    with database.tenant_work(scope) as session:
        answers = _record(session, scope, sent, ready, folder, stored, caller)
        gone = _gone(session, folder.root_id, [place_of(path) for path in sent.gone])
    _keep_thumbnails(database, scope, store, answers, small)
    return AssetsAnswer(assets=[answers[index] for index in range(len(sent.assets))], gone=gone)


def place_of(path: str) -> bytes:
    """Return a sent path as a place below its root."""
    return storable(path)[0].encode()


def find_sending_root(session: Session, root_id: WatchRootId, caller: Caller) -> WatchRoot:
    """Return the root of another machine that a caller sends for. Raises: NotYourRoot."""
    root = catalog_roots.show_root(session, root_id)
    theirs = root.person_id is not None and root.person_id == caller.person_id
    if root.watched_by is not RootWatcher.OUTPOST or not (theirs or Scope.ADMIN in caller.everywhere):
        raise NotYourRoot(f"root {root_id}", hint="`memoryd watch DIR --server URL` registers a folder of this machine")
    return root


def _folder(session: Session, sent: AssetsSent, caller: Caller) -> Folder:
    if sent.root is None:
        project = projects.find_project(session, sent.project or projects.DEFAULT_PROJECT, caller.sees)
        return Folder(path=Path("/"), project_id=project, person_id=caller.person_id)
    root = find_sending_root(session, WatchRootId(sent.root), caller)
    if root.makes_projects and Scope.INGEST not in caller.everywhere:
        root = dataclasses.replace(root, makes_projects=False)
    folder = folder_for(session, root, [place_of(one.path) for one in sent.assets], caller)
    sees = caller.sees
    if sent.project is not None:
        # What a person names for a batch counts more than a rule that was laid down before.
        named = projects.find_project(session, sent.project, sees)
        folder = dataclasses.replace(folder, project_id=named, rules=())
    return dataclasses.replace(
        folder,
        # Whoever sends is who it is from: a folder's name on somebody's workstation speaks for nobody else.
        person_id=caller.person_id or folder.person_id,
        people={},
        projects={name: id_ for name, id_ in folder.projects.items() if sees is None or id_ in sees},
    )


def _stored(store: BlobStore, scope: TenantScope, sent: AssetsSent, files: Sequence[SentFile]) -> dict[str, StoredBlob]:
    sizes = {one.sha256: one.size for one in sent.assets}
    stored: dict[str, StoredBlob] = {}
    for file in files:
        if file.announced not in sizes:
            raise BytesUnannounced(file.announced[:80], hint="name each file part by the SHA-256 of an asset")
        # What is refused below has no row, and is collected.
        blob = store.put_stream(scope.slug, file.stream, limit=UPLOAD_LIMIT)
        if blob.sha256.hex() != file.announced or blob.size != sizes[file.announced]:
            raise BytesDiffer(
                f"{file.announced[:12]}…: {blob.size} bytes of SHA-256 {blob.sha256.hex()[:12]}… came",
                hint="read the file again: it may have changed while it was sent",
            )
        stored[file.announced] = blob
    return stored


def _from_bytes(
    store: BlobStore, scope: TenantScope, one: AssetSent, blob: StoredBlob, whose: Folder, folder: Folder
) -> PreparedFile:
    kept = dataclasses.replace(whose, custody=Custody.KEEP)
    with store.open_verified(scope.slug, blob.sha256) as body:
        assembled = understand_stored(body, _content(one, whose), kept)
    return dataclasses.replace(_file(one, assembled, folder), stored=blob)


def _from_claim(one: AssetSent, whose: Folder, folder: Folder, *, read_from_bytes: bool) -> PreparedFile:
    kind = _KINDS.get(one.media_type.partition("/")[0], AssetKind.OTHER)
    carriers = tuple(Carrier(place=c.place, key=c.key, raw=c.raw) for c in one.carriers)
    reading = Reading(
        plugin=f"{SENT}{one.plugin}" if not read_from_bytes else SENT,
        version=one.plugin_version,
        media_type=one.media_type,
        kind=kind.value,
        width=one.width,
        height=one.height,
        frames=one.frames,
        carriers=() if read_from_bytes else carriers,
        prompt=None if read_from_bytes else _index(one.prompt, carriers, "prompt"),
        workflow=None if read_from_bytes else _index(one.workflow, carriers, "workflow"),
        findings=tuple(Finding(code=f.code, detail=f.detail, where=f.where) for f in one.findings),
    )
    return _file(one, assemble(_content(one, whose), reading, whose, Stopwatch()), folder)


def _index(given: int | None, carriers: Sequence[Carrier], key: str) -> int | None:
    if given is not None:
        return given
    return next((index for index, carrier in enumerate(carriers) if carrier.key.lower() == key), None)


def _content(one: AssetSent, whose: Folder) -> Content:
    now = datetime.datetime.now(datetime.UTC)
    late = one.modified_at > now
    finding = Finding(code="time-in-future", detail="the file's time lies in the future: the present is used")
    location = None
    if whose.root_id is not None:
        location = LocationRecord(
            watch_root_id=whose.root_id, path=place_of(one.path), size=one.size, mtime_ns=_nanoseconds(one.modified_at)
        )
    return Content(
        sha256=bytes.fromhex(one.sha256),
        size=one.size,
        made_at=now if late else one.modified_at,
        made_source=MadeSource.FILE_TIME,
        location=location,
        filename=place_of(one.path).rpartition(b"/")[2].decode(),
        findings=(*((finding,) if late else ()), *whose.findings),
    )


def _nanoseconds(moment: datetime.datetime) -> int:
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1_000


def _file(one: AssetSent, assembled: Assembled, folder: Folder) -> PreparedFile:
    place = place_of(one.path)
    return PreparedFile(
        path=folder.path / os.fsdecode(place),
        place=place,
        root_id=folder.root_id,
        shown=place.decode(),
        state=FileState.READ,
        location=assembled.asset.locations[0] if assembled.asset.locations else None,
        asset=assembled.asset,
        documents=assembled.documents,
        graph=assembled.graph,
        findings=assembled.asset.findings,
        learned=assembled.learned,
    )


def _record(
    session: Session,
    scope: TenantScope,
    sent: AssetsSent,
    ready: Sequence[tuple[int, PreparedFile]],
    folder: Folder,
    stored: Mapping[str, StoredBlob],
    caller: Caller,
) -> dict[int, AssetAnswer]:
    answers = {
        index: AssetAnswer(path=one.path, sha256=one.sha256, state=SentState.WITHHELD, asset_id=None, bytes_wanted=True)
        for index, one in enumerate(sent.assets)
    }
    # Only bytes can be enriched: of a claim there is nothing to decode.
    for with_bytes in (True, False):
        part = [(index, file) for index, file in ready if (file.stored is not None) is with_bytes]
        if not part:
            continue
        batch = Prepared(folder=folder, files=tuple(file for _, file in part))
        recorded = record(session, batch, scope=scope, caller=caller, enrich=with_bytes)
        held = queries.list_kept(session, [asset.sha256 for asset in recorded.assets])
        for (index, _), asset in zip(part, recorded.assets, strict=True):
            answers[index] = answers[index].model_copy(
                update={
                    "state": SentState.RECORDED if asset.new else SentState.KNOWN,
                    "asset_id": asset.asset_id,
                    "bytes_wanted": folder.custody is Custody.KEEP and asset.sha256 not in held,
                }
            )
    return answers


def _gone(session: Session, root_id: WatchRootId | None, gone: Sequence[bytes]) -> int:
    if root_id is None or not gone:
        return 0
    found = places.find_at(session, root_id, gone)
    return len(places.mark_missing(session, [place.id for place in found.values()]))


def _thumbnail(sent: bytes) -> bytes | None:
    """Return a sent picture as one of our own making; what cannot be decoded is none."""
    try:
        return thumbnail(io.BytesIO(sent), SENT_THUMBNAIL_SIZE)
    except (MemorydError, OSError):
        return None


def _keep_thumbnails(
    database: Database,
    scope: TenantScope,
    store: BlobStore,
    answers: Mapping[int, AssetAnswer],
    small: Mapping[str, bytes | None],
) -> None:
    # A picture of content that was known shows what the memory has read itself, or will.
    made = {
        answer.asset_id: picture
        for answer in answers.values()
        if answer.state is SentState.RECORDED and answer.asset_id and (picture := small.get(answer.sha256))
    }
    if not made:
        return
    kept = [(AssetId(id_), picture, store.put_bytes(scope.slug, picture)) for id_, picture in made.items()]
    with database.tenant_work(scope) as session:
        register(session, [blob for _, _, blob in kept])
        for asset_id, picture, blob in kept:
            shape = read_shape(io.BytesIO(picture))
            thumbnails.store(
                session,
                thumbnails.Thumbnail(
                    asset_id=asset_id,
                    recipe=THUMBNAIL_RECIPE,
                    size=SENT_THUMBNAIL_SIZE,
                    sha256=blob.sha256,
                    media_type=THUMBNAIL_MEDIA_TYPE,
                    width=shape.width,
                    height=shape.height,
                ),
            )
