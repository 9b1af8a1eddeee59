"""Who works, as a parameter's type: `def claim(worker: WorkerCaller, …)`. A worker's key is none of a person's."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import Depends, Request

from memoryd.access.guards import Office
from memoryd.dispatch import workers
from memoryd.dispatch.facts import WorkerIdentity
from memoryd.dispatch.wire import PROTOCOL_HEADER


def stated_protocol(request: Request) -> int:
    """Return the version that worker and server speak in this request. Raises: ProtocolNotSupported."""
    stated = request.headers.get(PROTOCOL_HEADER, "")
    return workers.check_protocol(int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 6 else None)


def recognised_worker(request: Request, office: Office) -> WorkerIdentity:
    """Return the worker that asks. Raises: ProtocolNotSupported, WorkerNotRecognised, DatabaseDown."""
    stated_protocol(request)
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise workers.WorkerNotRecognised("no key was sent", hint="send `Authorization: Bearer <the worker's key>`")
    with office.database.farm_work() as session:
        return workers.recognise(session, key.strip())


WorkerCaller: TypeAlias = Annotated[WorkerIdentity, Depends(recognised_worker)]
SpokenProtocol: TypeAlias = Annotated[int, Depends(stated_protocol)]
