"""A file that somebody sent: kept in the blob store and recorded, without a place in any folder."""

from __future__ import annotations

import dataclasses
import datetime
from typing import BinaryIO

from memoryd.access.facts import Caller
from memoryd.catalog.facts import AssetKind, Custody, MadeSource, RecordedAsset
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.ids import ProjectId
from memoryd.foundation.texts import storable
from memoryd.ingest import formats
from memoryd.ingest.assembling import Assembled, Content, Stopwatch, assemble, unread
from memoryd.ingest.beside import whole_reading
from memoryd.ingest.facts import FileState, Folder, Prepared, PreparedFile
from memoryd.ingest.knowledge import knowing
from memoryd.ingest.recording import record
from memoryd.plugin_api.facts import Completeness
from memoryd.storage.blob_store import BlobStore

UPLOAD_LIMIT = 2 * 2**30
"""Bytes of one upload. Larger files are taken in from a folder that the server reaches."""

NAME_LIMIT = 255
"""Characters of a file's name. Source: NAME_MAX of Linux file systems."""


class UploadBroken(NotAcceptable):
    """This file is not whole."""


class UploadUnknown(NotAcceptable):
    """This is no kind of file that is remembered."""


def record_upload(
    database: Database,
    scope: TenantScope,
    store: BlobStore,
    stream: BinaryIO,
    *,
    filename: str,
    project_id: ProjectId | None,
    caller: Caller,
) -> RecordedAsset:
    """Keep and record what a stream gives (at most UPLOAD_LIMIT bytes); return what became of it.

    Raises: UploadBroken; UploadUnknown; BlobTooLarge. What was refused is not recorded, and its bytes are collected.
    """
    stored = store.put_stream(scope.slug, stream, limit=UPLOAD_LIMIT)
    folder = Folder(
        path=store.path(scope.slug, stored.sha256).parent,
        project_id=project_id,
        person_id=caller.person_id,
        custody=Custody.KEEP,
    )
    name = storable(filename.replace("\\", "/").rpartition("/")[2])[0][:NAME_LIMIT]
    content = Content(
        sha256=stored.sha256,
        size=stored.size,
        made_at=datetime.datetime.now(datetime.UTC),
        made_source=MadeSource.DECLARED,
        location=None,
        filename=name,
    )
    with store.open_verified(scope.slug, stored.sha256) as body:
        assembled = understand_stored(body, content, knowing(folder, database, scope))
    file = PreparedFile(
        path=store.path(scope.slug, stored.sha256),
        place=name.encode(),
        shown=name,
        state=FileState.READ if assembled.asset.plugin != "none" else FileState.UNREAD,
        asset=assembled.asset,
        documents=assembled.documents,
        graph=assembled.graph,
        stored=stored,
        findings=assembled.asset.findings,
        learned=assembled.learned,
    )
    with database.tenant_work(scope) as session:
        recorded = record(session, Prepared(folder=folder, files=(file,)), scope=scope, caller=caller)
    return recorded.assets[0]


def understand_stored(body: BinaryIO, content: Content, folder: Folder) -> Assembled:
    """Return what is recorded of bytes that somebody sent, read here. Raises: UploadBroken; UploadUnknown."""
    name = content.filename
    plugin = formats.plugin_for(body)
    if plugin is None:
        recognised = formats.recognise(formats.head_of(body), name.encode())
        if recognised is None or recognised[0] is AssetKind.OTHER:
            raise UploadUnknown(f"{name}", hint="send a picture, a video, a sound or a latent")
        return unread(content, *recognised, folder)
    completeness, reading = formats.read(plugin, body)
    if reading is None or completeness is not Completeness.COMPLETE:
        told = reading.findings[0].detail if reading and reading.findings else "it ends in the middle"
        raise UploadBroken(f"{name}: {told}", hint="send the whole file again")
    if reading.kind not in {kind.value for kind in AssetKind}:
        reading = dataclasses.replace(reading, kind=AssetKind.OTHER.value)
    return assemble(content, whole_reading(reading, body), folder, Stopwatch())
