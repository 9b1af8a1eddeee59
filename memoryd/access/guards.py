"""Who may do it, as a parameter's type: `def tag(work: Annotator, …)` is the policy and the unit of work in one.

A caller is recognised by an API key, else by a session's cookie, else as the local person. Cookie and local person are
given by the browser without being asked, so both are refused to pages of other origins (CSRF, DNS rebinding).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Annotated, TypeAlias
from urllib.parse import urlsplit

from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from fastapi.requests import HTTPConnection

from memoryd.access import keys, remembering, sessions
from memoryd.access.facts import Caller, Scope, WorkerIdentity
from memoryd.access.roles import narrowed
from memoryd.foundation.byte_store import ByteStore
from memoryd.foundation.database import Database, Session
from memoryd.foundation.errors import NotAllowed, NotRecognised
from memoryd.foundation.settings import Settings
from memoryd.foundation.tls import is_loopback

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Source: RFC 9110, section 9.2.1. A WebSocket's handshake is no safe method here: what follows it may change things."""

TENANT_HEADER = "Memoryd-Tenant"
"""The local person may name another tenant than the settings do. No form or image of a foreign page can send it."""

FORWARDING_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
"""Where one of them is sent, somebody stands between: the peer's address says nothing about the person."""


class NoCredentials(NotRecognised):
    """Nothing in this request says who is asking."""


class ScopeMissing(NotAllowed):
    """The caller's roles and key do not include this."""


class ForeignOrigin(NotAllowed):
    """A page of another origin may not act with somebody's session."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offices:
    """What a server process holds open."""

    settings: Settings
    database: Database
    store: ByteStore
    keys: Path
    """The folder of key files."""

    @property
    def home(self) -> Path:
        """Where keys, blobs and state lie."""
        return self.settings.home


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """An open unit of work of one caller: commits before the answer is sent, rolls back when the endpoint raises."""

    session: Session
    caller: Caller
    database: Database
    store: ByteStore


async def offices(connection: HTTPConnection) -> Offices:
    """Return what this server process holds open."""
    # Not a plain function, though it waits for nothing: those are handed to a thread and back.
    held = connection.app.state.offices
    assert isinstance(held, Offices)
    return held


Office = Annotated[Offices, Depends(offices)]


def recognise(connection: HTTPConnection, office: Offices) -> Caller | WorkerIdentity:
    """Return who is asking. Raises: NoCredentials, KeyNotRecognised, ForeignOrigin."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        # A key that is sent and wrong is an error, never a reason to look for another way in.
        return keys.recognise_key(office.database, token.strip())
    cookie = connection.cookies.get(sessions.SESSION_COOKIE)
    if cookie:
        caller = sessions.recognise_session(office.database, cookie)
        if caller is not None:
            refuse_foreign_origin(connection)
            return caller
    if is_local(connection, office.settings):
        refuse_foreign_origin(connection)
        return sessions.local_caller(office.database, connection.headers.get(TENANT_HEADER) or office.settings.tenant)
    raise NoCredentials(
        "no key, no session" if not cookie else "the session has ended",
        hint="send `Authorization: Bearer mk_…`, or sign in again with a link from an administrator",
    )


async def _recognised_at_once(connection: HTTPConnection, office: Offices) -> Caller | WorkerIdentity:
    """Return who is asking: at once where the key was looked up a moment ago. Raises: as recognise."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    known = remembering.find(office.database, token.strip()) if scheme.lower() == "bearer" else None
    return known if known is not None else await run_in_threadpool(recognise, connection, office)


def public_address(connection: HTTPConnection, settings: Settings) -> str:
    """Return the server's address as people reach it, without a slash at the end: as set, else as it was asked for."""
    if settings.url:
        return settings.url.rstrip("/")
    scheme = connection.url.scheme
    if settings.proxy is not None:
        # Only the named proxy is answered at all, so that this header is its own.
        scheme = "https" if connection.headers.get("x-forwarded-proto") == "https" else scheme
    return f"{scheme}://{connection.headers.get('host', '')}"


def is_local(connection: HTTPConnection, settings: Settings) -> bool:
    """Tell whether a request may be the local person's: from this machine, to this machine, with nobody between."""
    if not settings.local_person or settings.proxy is not None or connection.client is None:
        return False
    if any(name in connection.headers for name in FORWARDING_HEADERS):
        return False
    # The Host header too: a foreign name that resolves to loopback (DNS rebinding) makes its page same-origin with us.
    return is_loopback(connection.client.host) and is_loopback(_host_of(connection))


def refuse_foreign_origin(connection: HTTPConnection) -> None:
    """Return where the request is not another origin's doing. Raises: ForeignOrigin."""
    method = connection.scope.get("method", "GET") if connection.scope["type"] == "http" else "WEBSOCKET"
    origin = connection.headers.get("origin")
    same = origin is None or urlsplit(origin).netloc.lower() == connection.headers.get("host", "").lower()
    if method not in SAFE_METHODS and not same:
        raise ForeignOrigin(f"origin {str(origin)[:200]!r}", hint="use an API key from other places than our own pages")
    # What a foreign page embeds or fetches is refused as well; following a link to us is not.
    # Source: Fetch Metadata Request Headers, W3C, resource isolation policy.
    site, mode = connection.headers.get("sec-fetch-site"), connection.headers.get("sec-fetch-mode")
    if site == "cross-site" and (mode != "navigate" or method not in SAFE_METHODS):
        raise ForeignOrigin("the browser says that another site asks", hint="open memoryd's own pages")


def _host_of(connection: HTTPConnection) -> str:
    try:
        return urlsplit(f"//{connection.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def person_with(caller: Caller | WorkerIdentity, scope: Scope) -> Caller:
    """Return the caller, seeing only where they hold the scope. Raises: ScopeMissing."""
    if isinstance(caller, WorkerIdentity) or scope not in caller.scopes:
        raise ScopeMissing(
            f"{caller.name} lacks the scope {scope.value!r}",
            hint="ask an administrator for a role or key that includes it",
            scope=scope.value,
        )
    return narrowed(caller, scope)


def _caller_guard(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    async def guard(connection: HTTPConnection, office: Office) -> Caller:
        return person_with(await _recognised_at_once(connection, office), scope)

    return guard


def _work_guard(scope: Scope) -> Callable[..., Iterator[Work]]:
    def guard(connection: HTTPConnection, office: Office) -> Iterator[Work]:
        caller = person_with(recognise(connection, office), scope)
        with office.database.tenant_work(caller.tenant) as session:
            yield Work(session=session, caller=caller, database=office.database, store=office.store)

    return guard


def sender(connection: HTTPConnection, office: Office) -> Caller:
    """Return who sends files they read elsewhere: whoever may take files in, else whoever may have pictures made in a project.

    Raises: as recognise; ScopeMissing.
    """
    caller = recognise(connection, office)
    may_ingest = isinstance(caller, Caller) and Scope.INGEST in caller.scopes
    return person_with(caller, Scope.INGEST if may_ingest else Scope.SUBMIT)


def recognised(connection: HTTPConnection, office: Office) -> Caller:
    """Return any person that asks, whatever they may do. Raises: as recognise; ScopeMissing for a worker."""
    caller = recognise(connection, office)
    return caller if isinstance(caller, Caller) else person_with(caller, Scope.READ)


def recognised_worker(connection: HTTPConnection, office: Office) -> WorkerIdentity:
    """Return the worker that asks. Raises: as recognise; ScopeMissing for a person."""
    caller = recognise(connection, office)
    if isinstance(caller, Caller):
        raise ScopeMissing(
            f"{caller.name} is a person", hint="a worker joins with the command that `memoryd workers add` prints"
        )
    return caller


# scope="function": the transaction ends before the answer is sent, so that a failing commit is no 201.
Reader: TypeAlias = Annotated[Work, Depends(_work_guard(Scope.READ), scope="function")]
Annotator: TypeAlias = Annotated[Work, Depends(_work_guard(Scope.ANNOTATE), scope="function")]
Approver: TypeAlias = Annotated[Work, Depends(_work_guard(Scope.APPROVE), scope="function")]
Submitter: TypeAlias = Annotated[Work, Depends(_work_guard(Scope.SUBMIT), scope="function")]
Ingester: TypeAlias = Annotated[Work, Depends(_work_guard(Scope.INGEST), scope="function")]
Discloser: TypeAlias = Annotated[Work, Depends(_work_guard(Scope.DISCLOSE), scope="function")]
Reporter: TypeAlias = Annotated[Work, Depends(_work_guard(Scope.REPORT), scope="function")]
Administrator: TypeAlias = Annotated[Work, Depends(_work_guard(Scope.ADMIN), scope="function")]

# For endpoints that open their own units of work, or none.
AnyCaller: TypeAlias = Annotated[Caller, Depends(recognised)]
ReaderCaller: TypeAlias = Annotated[Caller, Depends(_caller_guard(Scope.READ))]
AnnotatorCaller: TypeAlias = Annotated[Caller, Depends(_caller_guard(Scope.ANNOTATE))]
ApproverCaller: TypeAlias = Annotated[Caller, Depends(_caller_guard(Scope.APPROVE))]
SubmitterCaller: TypeAlias = Annotated[Caller, Depends(_caller_guard(Scope.SUBMIT))]
IngesterCaller: TypeAlias = Annotated[Caller, Depends(_caller_guard(Scope.INGEST))]
SenderCaller: TypeAlias = Annotated[Caller, Depends(sender)]
DiscloserCaller: TypeAlias = Annotated[Caller, Depends(_caller_guard(Scope.DISCLOSE))]
ReporterCaller: TypeAlias = Annotated[Caller, Depends(_caller_guard(Scope.REPORT))]
AdministratorCaller: TypeAlias = Annotated[Caller, Depends(_caller_guard(Scope.ADMIN))]
WorkerCaller: TypeAlias = Annotated[WorkerIdentity, Depends(recognised_worker)]
