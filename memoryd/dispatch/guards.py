"""Who works, as a parameter's type: `def claim(worker: WorkerCaller, …)`. A worker's key is none of a person's."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from fastapi.requests import HTTPConnection

from memoryd.access.guards import Office
from memoryd.dispatch import recognising, workers
from memoryd.dispatch.facts import WorkerIdentity
from memoryd.dispatch.wire import PROTOCOL_HEADER
from memoryd.foundation.database import Database

KEY_LIMIT = 500
"""Characters of a key that are looked at; a worker's has about 80."""


def stated_protocol(connection: HTTPConnection) -> int:
    """Return the version that worker and server speak in this request. Raises: ProtocolNotSupported."""
    stated = connection.headers.get(PROTOCOL_HEADER, "")
    return workers.check_protocol(int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 6 else None)


async def worker_at(connection: HTTPConnection, database: Database) -> WorkerIdentity:
    """Return the worker that asks, as it was at most RECOGNISED_FOR_S ago: read its state and start where they matter.

    Raises: ProtocolNotSupported, WorkerNotRecognised, DatabaseDown.
    """
    stated_protocol(connection)
    scheme, _, key = connection.headers.get("Authorization", "").partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or len(key) > KEY_LIMIT:
        raise workers.WorkerNotRecognised("no key was sent", hint="send `Authorization: Bearer <the worker's key>`")
    known = recognising.find_remembered(database, key)
    return known if known is not None else await run_in_threadpool(recognising.recognise, database, key)


async def recognised_worker(connection: HTTPConnection, office: Office) -> WorkerIdentity:
    """Return the worker that asks. Raises: as worker_at."""
    return await worker_at(connection, office.database)


WorkerCaller: TypeAlias = Annotated[WorkerIdentity, Depends(recognised_worker)]
SpokenProtocol: TypeAlias = Annotated[int, Depends(stated_protocol)]
