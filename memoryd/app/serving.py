"""The server process: where it may listen, what it tells the commands of this machine, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from memoryd.access import directory
from memoryd.access.guards import Offices
from memoryd.app.connecting import server_database
from memoryd.app.http import make_app
from memoryd.app.local_key import local_key
from memoryd.app.metrics import operators_token
from memoryd.dispatch.socket_wire import MESSAGE_LIMIT
from memoryd.dispatch.waking import Waker, waker_of
from memoryd.foundation.database import Database
from memoryd.foundation.errors import Conflict, NotAcceptable
from memoryd.foundation.logging import log_for
from memoryd.foundation.settings import Settings, write_secret
from memoryd.foundation.tls import is_loopback
from memoryd.storage.blob_store import BlobStore

GRACE_S = 10
"""How long requests under way may take to end after SIGTERM."""

_log = log_for(__name__)
Scope = MutableMapping[str, Any]


class OpenToStrangers(NotAcceptable):
    """The server would be open to the network without protection."""


class TlsUnusable(NotAcceptable):
    """The server cannot serve TLS with these files."""


class PortTaken(Conflict):
    """Another program listens on this port."""


def require_protected(settings: Settings) -> None:
    """Return when the server listens on loopback, or with TLS, or behind a named proxy.

    Raises: OpenToStrangers; TlsUnusable.
    """
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise OpenToStrangers(
            "MEMORYD_TLS_CERT and MEMORYD_TLS_KEY belong together", hint="name both files, or neither"
        )
    if settings.tls_cert is not None and settings.tls_key is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key)
        except OSError as error:  # ssl.SSLError is one
            raise TlsUnusable(
                f"{settings.tls_cert} and {settings.tls_key}: {error.strerror or error}",
                hint="MEMORYD_TLS_CERT and MEMORYD_TLS_KEY name a certificate chain and its key, both PEM, both readable",
            ) from error
        return
    if is_loopback(settings.host) or settings.proxy is not None:
        return
    raise OpenToStrangers(
        f"{settings.host} is not a loopback address, and neither TLS nor a proxy is named",
        hint="set MEMORYD_TLS_CERT and MEMORYD_TLS_KEY, or MEMORYD_PROXY to the proxy's address, or listen on 127.0.0.1",
    )


def make_offices(settings: Settings) -> Offices:
    """Return what every request may use: the database checked to be at this version, the blob store, the keys' folder."""
    return Offices(
        settings=settings,
        database=server_database(settings),
        store=BlobStore(settings.home / "blobs"),
        keys=settings.secrets_folder,
    )


@contextlib.contextmanager
def described(settings: Settings, database: Database, url: str) -> Iterator[None]:
    """Keep `local.json` in the home while the server runs: its address, and a key for this machine's commands.

    A second server of one home gives it back to the first when it ends.
    """
    with database.farm_work() as session:
        tenant = directory.find_tenant(session, settings.tenant)
    path = settings.home / "local.json"
    key = local_key(database, tenant, settings.secrets_folder)
    certificates = str(settings.tls_cert.absolute()) if settings.tls_cert else None
    # Whoever sets a scraper up looks for it before anything has asked for the figures.
    operators_token(settings.secrets_folder)
    content = {"url": url, "tenant": tenant.slug, "key": key, "pid": os.getpid(), "certificates": certificates}
    before = _description(path)
    write_secret(path, json.dumps(content).encode())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if _description(path).get("pid") == os.getpid():
                if _lives(before.get("pid")):
                    write_secret(path, json.dumps(before).encode())
                else:
                    path.unlink()


def _description(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lives(pid: object) -> bool:
    if not isinstance(pid, int) or pid in (0, os.getpid()):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's process
    return True


def serve(settings: Settings, *, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. Raises: OpenToStrangers; TlsUnusable; PortTaken; and as server_database."""
    require_protected(settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn raises the signal again when it is done: by default that would end us before anything is put away.
        signal.signal(number, lambda *_: sys.exit(0))
    listener = listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    offices = make_offices(settings)
    scheme = "https" if settings.tls_cert else "http"
    url = f"{scheme}://{reachable(host)}:{port}"
    application = make_app(offices)
    config = uvicorn.Config(
        _only_from(application, settings.proxy),
        log_level="warning",
        access_log=False,
        # Who a request is from is decided by ourselves (access.guards), never by a header that anybody may send.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        # One that stops reading while its message is handled: a worker that sends too fast waits, and fills no memory.
        ws="websockets-sansio",
        ws_max_size=MESSAGE_LIMIT,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
        lifespan="off",
    )
    waker = waker_of(offices.database)
    try:
        with described(settings, offices.database, url):
            waker.start(offices.database)
            say(f"memoryd serves at {url}")
            _Server(config, waker).run(sockets=[listener])
    finally:
        listener.close()
        waker.stop()
        offices.database.close()


def reachable(host: str) -> str:
    """Return the host part of an address at which this machine reaches a server that listens on `host`."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - recognised, not listened on
    return f"[{here}]" if ":" in here else here


class _Server(uvicorn.Server):
    """A server whose long polls end when it is asked to."""

    def __init__(self, config: uvicorn.Config, waker: Waker) -> None:
        super().__init__(config)
        self._waker = waker

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop taking requests, and let those that only wait be answered."""
        self._waker.close_soon()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens there. Raises: PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: asyncio turns off delayed sending only for sockets that say that they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise PortTaken(
            f"{host}:{port}: {error.strerror}", hint="set MEMORYD_PORT (or --port) to another port"
        ) from error
    listener.listen(128)
    return listener


def _only_from(application: Any, proxy: str | None) -> Any:
    """Wrap the application so that, behind a named proxy, nobody but the proxy is answered."""
    if proxy is None:
        return application

    async def guarded(
        scope: Scope,
        receive: Callable[[], Awaitable[Scope]],
        send: Callable[[Scope], Awaitable[None]],
    ) -> None:
        peer = (scope.get("client") or ("",))[0]
        if scope["type"] in {"http", "websocket"} and peer != proxy:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            body = b'{"title":"Only the named proxy is answered.","status":403,"hint":"ask through the proxy"}'
            headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        await application(scope, receive, send)

    return guarded
