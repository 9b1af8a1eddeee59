"""The commands' way to a server: where it is, with which key, and its problems as errors again."""

from __future__ import annotations

import contextlib
import functools
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from memoryd.foundation.canonical_json import NotJson, read_json
from memoryd.foundation.errors import CATEGORIES, MemorydError, NotAcceptable, TooLarge, Unavailable
from memoryd.foundation.paging import PAGE_LIMIT
from memoryd.foundation.settings import Settings
from memoryd.foundation.tls import trust
from memoryd_cli.output import explain

REQUEST_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
PATIENCE_S = 600.0
"""For how long a command that follows something looks again after a server that went away: longer than an update takes."""

AGAIN_S = 2.0
_OF_A_REQUEST = re.compile(r"^(?:query|body|path)\.(?=[\w.]+: )")
"""How the server says where in a request something is wrong; who gave a command sent no such thing."""
_ENDS_A_PATH = re.compile("[?#]")
"""What follows is no part of a path. A name that holds them is spelled otherwise in one. Source: RFC 3986, 2.1."""


class NotAName(NotAcceptable):
    """This cannot be the name of anything."""


class NoServerKnown(Unavailable):
    """No memoryd server is known here."""


class ServerSilent(Unavailable):
    """The memoryd server does not answer."""


class ServerFault(MemorydError):
    """The server met a fault of its own."""


class Patience:
    """For a command that follows something: the server may go away and come back meanwhile."""

    def __init__(self) -> None:
        """Nothing was heard yet: a server that was never there is not waited for."""
        self._heard = False
        self._away_since: float | None = None

    def heard(self) -> None:
        """The server spoke."""
        self._heard, self._away_since = True, None

    def wait(self, error: Unavailable) -> None:
        """Wait a moment before the next look. Raises: `error`, where it was away too long or never there."""
        now = time.monotonic()
        if not self._heard or (self._away_since is not None and now - self._away_since > PATIENCE_S):
            raise error
        if self._away_since is None:
            self._away_since = now
            error.hint = f"nothing is lost; it is looked for again for {PATIENCE_S / 60:g} min"
            explain(error)
        time.sleep(AGAIN_S)


class Client:
    """One server, spoken to as one person."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        certificates: Path | None = None,
        tenant: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`url` is the server's address without `/v1`; `certificates` are trusted besides the public ones.

        `tenant` is that of the local person, who needs no key on the server's own machine; a key names its tenant itself.
        """
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {"Memoryd-Tenant": tenant} if tenant else {}
        self._http = httpx.Client(
            base_url=f"{self.url}/v1",
            headers=headers,
            timeout=httpx.Timeout(REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            transport=transport,
            trust_env=False,
            verify=trust(self.url, certificates),
        )

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON answer. Raises: ServerSilent, and every problem the server names, as its category."""
        return self._ask("GET", path, params=params)

    def listed(self, path: str, *, limit: int, **params: Any) -> dict[str, Any]:
        """Return a list's first `limit` items as one page: `items`, and `next_cursor` where there are more. Raises as get."""
        items: list[Any] = []
        cursor = None
        while True:
            page = self.get(path, limit=min(limit - len(items), PAGE_LIMIT), cursor=cursor, **params)
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None or len(items) >= limit:
                return {**page, "items": items}

    def post(self, path: str, json: Any = None, **params: Any) -> Any:
        """Return the JSON answer to a posted document. Raises as get."""
        return self._ask("POST", path, params=params, json=json)

    def put(self, path: str, json: Any = None, **params: Any) -> Any:
        """Return the JSON answer to a put document. Raises as get."""
        return self._ask("PUT", path, params=params, json=json)

    def patch(self, path: str, json: Any = None, **params: Any) -> Any:
        """Return the JSON answer to a change. Raises as get."""
        return self._ask("PATCH", path, params=params, json=json)

    def delete(self, path: str, **params: Any) -> Any:
        """Return the JSON answer to a deletion. Raises as get."""
        return self._ask("DELETE", path, params=params)

    def upload(self, path: str, file: Path, **fields: str) -> Any:
        """Return the JSON answer to a file sent as multipart field `file`. Raises as get."""
        with file.open("rb") as stream:
            return self._ask("POST", path, files={"file": (file.name, stream)}, data=fields)

    def download(self, path: str, into: BinaryIO, **params: Any) -> int:
        """Write the answer's bytes to `into`; return how many. Raises as get."""
        written = 0
        try:
            with self._http.stream("GET", _whole(path), params=_given(params)) as answer:
                if answer.is_error:
                    answer.read()
                    raise problem(answer)
                for block in answer.iter_bytes():
                    written += into.write(block)
        except httpx.TransportError as error:
            raise self._silent(error) from error
        return written

    def send(self, path: str, content: Iterable[bytes], *, length: int, **params: Any) -> Any:
        """Return the JSON answer to `length` bytes, sent as they come (PATCH). Raises as get."""
        # A length, not chunks: a proxy in front of the server may refuse a body of unknown size.
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(length)}
        return self._ask("PATCH", path, params=params, headers=headers, content=iter(content))

    @contextlib.contextmanager
    def part(self, path: str, first: int, etag: str) -> Iterator[tuple[int, Iterator[bytes]]]:
        """A block in which an answer's bytes come: those from `first` on, else all, from 0. Raises as get."""
        headers = {"Range": f"bytes={first}-", "If-Range": etag} if first else {}
        try:
            with self._http.stream("GET", _whole(path), headers=headers) as answer:
                if answer.is_error:
                    answer.read()
                    raise problem(answer)
                yield (first if answer.status_code == httpx.codes.PARTIAL_CONTENT else 0), answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def stream(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield the events of a server-sent event stream, each its JSON body. Raises as get."""
        try:
            with self._http.stream("GET", path, params=_given(params), timeout=None) as answer:
                if answer.is_error:
                    answer.read()
                    raise problem(answer)
                for line in answer.iter_lines():
                    if line.startswith("data:"):
                        body = read_json(line[5:].strip())
                        if isinstance(body, dict):
                            yield body
        except httpx.TransportError as error:
            raise self._silent(error) from error

    def _ask(self, method: str, path: str, *, params: dict[str, Any] | None = None, **more: Any) -> Any:
        try:
            answer = self._http.request(method, _whole(path), params=_given(params or {}), **more)
        except httpx.TransportError as error:
            raise self._silent(error) from error
        if answer.is_error:
            raise problem(answer)
        if not answer.content:
            return None
        return read_json(answer.content)

    def _silent(self, error: httpx.TransportError) -> ServerSilent:
        return ServerSilent(
            f"{self.url} ({type(error).__name__})",
            hint="trust its certificate with MEMORYD_TLS_CA"
            if "CERTIFICATE_VERIFY_FAILED" in str(error)
            else "start one with `memoryd up FOLDER`, or name another with MEMORYD_URL",
        )


def _whole(path: str) -> str:
    """The path, where each part names something: others would ask for another address. Raises: NotAName."""
    wrong = next((part for part in path.removeprefix("/").split("/") if part in ("", ".", "..")), None)
    if wrong is None and not _ENDS_A_PATH.search(path):
        return path
    raise NotAName(repr(path if wrong is None else wrong), hint="the command's list shows what there is")


def _given(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def problem(answer: httpx.Response) -> MemorydError:
    """Return the error that an application/problem+json answer stands for."""
    try:
        body = read_json(answer.content)
    except NotJson:
        body = None
    if not isinstance(body, dict):
        # Not ours: of a proxy between, or of the server before it has read anything.
        if answer.status_code == TooLarge.status:
            return TooLarge("HTTP 413: the server, or a proxy before it, takes no body of this size", hint="send less")
        if answer.status_code in (502, 503, 504):
            return ServerSilent(f"HTTP {answer.status_code} of a proxy before it", hint="is `memoryd serve` up?")
        return ServerFault(f"HTTP {answer.status_code}", hint="the server's log tells more")
    category = next((c for c in CATEGORIES if c.status == answer.status_code), ServerFault)
    title, hint, detail = body.get("title"), body.get("hint"), str(body.get("detail", ""))
    if body.get("type") == "about:memoryd#invalid-input" and _OF_A_REQUEST.match(detail):
        detail, hint = _OF_A_REQUEST.sub("", detail), "the command with --help says what it takes"
    elif body.get("type") == "about:memoryd#http-404":
        # An address that there is not: a name with a slash in it, or a server of another version.
        title, hint = "There is no such thing.", "the command's list shows what there is; `memoryd doctor` the versions"
    named: type[MemorydError] = type(
        category.__name__, (category,), {"__doc__": title if isinstance(title, str) else category.__doc__}
    )
    return named(detail, hint=hint if isinstance(hint, str) else None)


@functools.lru_cache(maxsize=1)
def server() -> Client:
    """Return the client for MEMORYD_URL and MEMORYD_KEY, else for the server that runs from this MEMORYD_HOME.

    Raises: NoServerKnown.
    """
    settings = Settings()
    key = settings.key.get_secret_value() if settings.key else None
    if settings.url:
        return Client(settings.url, key, certificates=settings.tls_ca)
    described = local_server(settings)
    if described is None:
        raise NoServerKnown(
            f"none runs from {settings.home}, and MEMORYD_URL names none",
            hint="start one with `memoryd up FOLDER`, or set MEMORYD_URL and MEMORYD_KEY",
        )
    own_key = described.get("key")
    certificates = described.get("certificates")
    # The key of this machine's commands is of the tenant that the server was started for. Another one that is asked for
    # must not be passed over in silence: what follows would be done in the wrong tenant.
    another = "tenant" in settings.model_fields_set and described.get("tenant") not in (None, settings.tenant)
    return Client(
        str(described["url"]),
        key or (own_key if isinstance(own_key, str) and not another else None),
        certificates=Path(certificates) if isinstance(certificates, str) else None,
        tenant=settings.tenant if another else None,
    )


def local_server(settings: Settings) -> dict[str, Any] | None:
    """Return how the server that runs from this home describes itself, its `url` at least; None where none does."""
    try:
        described = read_json((settings.home / "local.json").read_bytes())
    except (OSError, NotJson):
        return None
    return described if isinstance(described, dict) and isinstance(described.get("url"), str) else None
