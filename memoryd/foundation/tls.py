"""Whom a program of ours trusts when it speaks to a memoryd server over TLS."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from memoryd.foundation.errors import NotAcceptable


class TrustUnusable(NotAcceptable):
    """The certificates to trust cannot be read."""


def is_loopback(host: str) -> bool:
    """Tell whether an address (or the name `localhost`) is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def trust(url: str, certificates: Path | None) -> ssl.SSLContext | bool:
    """Return how to verify the server at `url`, in the form that httpx takes as `verify`.

    `certificates` (PEM) are trusted besides the public authorities. At this machine's own address they are trusted alone
    and need not name it: a certificate names the host that others use. Raises: TrustUnusable.
    """
    if not url.startswith("https:"):
        return False
    if certificates is None:
        return True
    here = is_loopback(urlsplit(url).hostname or "")
    try:
        context = ssl.create_default_context(cafile=certificates if here else None)
        context.load_verify_locations(certificates)
    except OSError as error:  # ssl.SSLError is one
        raise TrustUnusable(
            f"{certificates}: {error.strerror or error}",
            hint="MEMORYD_TLS_CA names a readable PEM file of certificates",
        ) from error
    # A server's own certificate is trusted, whoever issued it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = not here
    return context
