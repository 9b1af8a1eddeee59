"""Sending to an address that somebody named: never to places that only this machine should reach.

A webhook makes the server speak to an address of a tenant's choice. So the name is resolved first, every address it has
must be allowed, and the connection goes to that very address: a name that resolves anew (DNS rebinding) changes nothing.
Redirects are not followed.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
import time
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

from memoryd.events.signatures import CONTENT_TYPE, Headers
from memoryd.foundation.errors import NotAcceptable
from memoryd.foundation.settings import Settings
from memoryd.foundation.tls import is_loopback, trust

URL_LIMIT = 2_000
"""Characters."""

ANSWER_LIMIT_S = 10.0
"""A receiver that needs longer to say that it has it is tried again later."""

RETRY_AFTER_LIMIT_S = 3_600.0
"""A receiver may ask for this much patience; longer is ours to decide."""

_Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"


class ReceiverRefused(NotAcceptable):
    """A webhook cannot go to this address."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a receiver said. `status` None: nothing was heard. `retry_after_s` where it asked for patience."""

    status: int | None
    detail: str
    took_s: float
    retry_after_s: float | None = None

    @property
    def taken(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing any more. Source: Standard Webhooks, 410 Gone."""
        return self.status == httpx.codes.GONE


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where webhooks of this server may go. `certificates` (PEM) are trusted besides the public ones."""

    loopback: bool
    certificates: Path | None = None


def reach_of(settings: Settings) -> Reach:
    """Return where webhooks may go: to this machine itself only where nobody but its own people can ask for it."""
    here = is_loopback(settings.host) and settings.proxy is None
    return Reach(loopback=here or settings.webhook_loopback, certificates=settings.tls_ca)


def check_url(url: str) -> None:
    """Return where an address can be a receiver's at all; it is looked up at each delivery. Raises: ReceiverRefused."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ReceiverRefused("it is no address", hint="give one like https://host/path") from None
    if (
        len(url) > URL_LIMIT
        or parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.username is not None
    ):
        raise ReceiverRefused(
            f"{url[:200]!r}", hint="give http(s)://host[:port]/path, without a password; the signature proves who sends"
        )


def resolve(url: str, reach: Reach) -> str:
    """Return the address (IP) that a delivery connects to. Raises: ReceiverRefused; OSError where the name is unknown."""
    check_url(url)
    parts = urlsplit(url)
    host = parts.hostname or ""
    found = socket.getaddrinfo(host, parts.port or (443 if parts.scheme == "https" else 80), type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    for address in addresses:
        _check_address(address, host, reach)
    return str(addresses[0])


def _check_address(address: _Address, host: str, reach: Reach) -> None:
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_loopback and not reach.loopback:
        raise ReceiverRefused(
            f"{host!r} is this server's own machine",
            hint="an operator may allow it with MEMORYD_WEBHOOK_LOOPBACK=true",
        )
    # Link-local addresses serve the machine's own secrets in every cloud (169.254.169.254).
    if not plain.is_loopback and (
        plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain.is_reserved
    ):
        raise ReceiverRefused(f"{host!r} is at {plain}, which is no place for a receiver", hint="name another address")


def send(url: str, headers: Headers, body: bytes, reach: Reach) -> Answer:
    """Send a signed body and return what the receiver said. Never raises for what the receiver does or is."""
    began = time.perf_counter()
    try:
        address = resolve(url, reach)
    except (ReceiverRefused, OSError, ValueError) as error:
        words = f"refused: {error.detail}" if isinstance(error, ReceiverRefused) else f"unknown host: {error}"
        return Answer(status=None, detail=words[:URL_LIMIT], took_s=time.perf_counter() - began)
    parts = urlsplit(url)
    shown = f"[{address}]" if ":" in address else address
    target = httpx.URL(url).copy_with(host=shown.strip("[]"))
    try:
        with (
            httpx.Client(
                trust_env=False,
                follow_redirects=False,
                timeout=ANSWER_LIMIT_S,
                verify=trust(url, reach.certificates),
            ) as client,
            client.stream(
                "POST",
                target,
                content=body,
                headers={**headers, "Content-Type": CONTENT_TYPE, "Host": parts.netloc, "User-Agent": "memoryd"},
                extensions={"sni_hostname": parts.hostname},
            ) as answer,
        ):
            # The body is not read: whatever it is, nothing here depends on it.
            status, patience = answer.status_code, answer.headers.get("retry-after", "")
    except (httpx.HTTPError, httpx.InvalidURL, NotAcceptable, OSError) as error:
        return Answer(
            status=None, detail=f"no answer: {type(error).__name__}: {error}"[:URL_LIMIT], took_s=_since(began)
        )
    asked = min(float(patience), RETRY_AFTER_LIMIT_S) if patience.isascii() and patience.isdigit() else None
    return Answer(status=status, detail=f"HTTP {status}", took_s=_since(began), retry_after_s=asked)


def _since(began: float) -> float:
    return time.perf_counter() - began
