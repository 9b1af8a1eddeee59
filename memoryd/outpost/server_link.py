"""The outpost's way to its server: registers the folder, sends facts and bytes, and says what kind of failure it met."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import httpx
from pydantic import ValidationError

from memoryd.foundation.errors import (
    Conflict,
    NotAcceptable,
    NotAllowed,
    NotFound,
    NotRecognised,
    TooLarge,
    Unavailable,
)
from memoryd.foundation.tls import trust
from memoryd.ingest.asset_wire import AssetsAnswer

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 120.0


class ServerAway(Unavailable):
    """The memoryd server does not answer."""


class KeyRefused(NotRecognised):
    """The server does not know this key, or it may not send."""


class FolderUnknown(NotFound):
    """The server does not know this folder of ours any more."""


class Refused(NotAcceptable):
    """The server would not have what was sent."""


class TooMuch(TooLarge):
    """The server would not have so much at once."""


class FolderTaken(Conflict):
    """Somebody else sends a folder of this name from a machine of this name."""


class ServerLink:
    """One server, spoken to with one key, which appears in no message."""

    def __init__(
        self, url: str, token: str, *, certificates: Path | None = None, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`url` is the server's address without `/v1`; `certificates` are trusted besides the public ones."""
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=f"{self.url}/v1",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            transport=transport,
            trust_env=False,
            verify=trust(self.url, certificates),
        )

    def close(self) -> None:
        """Let go of its connections."""
        self._http.close()

    def register(self, *, host: str, path: str, project: str | None, custody: str) -> tuple[str, str]:
        """Return (id, custody) of this machine's folder, registered where it was not.

        Raises: as send, but FolderUnknown; FolderTaken.
        """
        wish = {"host": host, "path": path, "custody": custody, **({"project": project} if project else {})}
        try:
            answer = self._ask("/roots", json=wish)
        except FolderUnknown as error:
            raise Refused(error.detail, hint=error.hint) from None  # what is not there is what was named for it
        body = _json(answer)
        try:
            return str(body["id"]), str(body["custody"])
        except (KeyError, TypeError):
            raise ServerAway(f"{self.url} speaks another language", hint="is it a memoryd server?") from None

    def send(self, root: str, facts: Sequence[bytes], gone: Sequence[str] = ()) -> AssetsAnswer:
        """Send files' facts (JSON of AssetSent each), and paths that are gone; return what became of them.

        Raises: ServerAway, KeyRefused, FolderUnknown, TooMuch, Refused.
        """
        return self._sent(content=_document(root, facts, gone), headers={"Content-Type": "application/json"})

    def send_bytes(self, root: str, facts: bytes, sha256: str, stream: BinaryIO) -> AssetsAnswer:
        """Send one file's facts with its bytes; return what became of it. Raises: as send."""
        part = ("facts", (None, _document(root, [facts], ()), "application/json"))
        # A part without a file name is a text part: the facts; the other one is named by its hash.
        file = ("file", (sha256, stream, "application/octet-stream"))
        return self._sent(files=[part, file])

    def _sent(self, **more: Any) -> AssetsAnswer:
        answer = self._ask("/assets", **more)
        try:
            return AssetsAnswer.model_validate_json(answer.content)
        except ValidationError:
            raise ServerAway(f"{self.url} speaks another language", hint="are both of the same version?") from None

    def _ask(self, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.post(path, **more)
        except httpx.TransportError as error:
            hint = "what was read waits here, and is sent when it answers"
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                hint = "name its certificate with --ca or MEMORYD_TLS_CA"
            raise ServerAway(f"{self.url} ({type(error).__name__})", hint=hint) from error
        if answer.is_success:
            return answer
        body = _json(answer)
        told = f"{body.get('title', '')} {body.get('detail', '')}".strip() or f"HTTP {answer.status_code}"
        next_step = str(body.get("hint") or "") or None
        match answer.status_code:
            case 401:
                raise KeyRefused(told, hint=next_step or "`memoryd keys add` makes one")
            case 403:
                raise NotAllowed(told, hint=next_step)
            case 404:
                raise FolderUnknown(told, hint=next_step)
            case 409:
                raise FolderTaken(told, hint=next_step)
            case 413:
                raise TooMuch(told, hint=next_step)
            case code if 400 <= code < 500 and code not in (408, 425, 429):
                raise Refused(told, hint=next_step)
            case _:
                raise ServerAway(f"{self.url}: {told}", hint=next_step)


def _document(root: str, facts: Sequence[bytes], gone: Sequence[str]) -> bytes:
    # Each file's facts are JSON already, as they lie in the spool: they are put together, not read again.
    paths = json.dumps(list(gone)).encode("ascii")
    return b'{"root":"%s","assets":[%s],"gone":%s}' % (root.encode(), b",".join(facts), paths)


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
