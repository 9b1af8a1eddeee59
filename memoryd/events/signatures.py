"""What a receiver can trust: a CloudEvents envelope, signed as Standard Webhooks spell it.

Source: CloudEvents 1.0.2, JSON format (structured mode); Standard Webhooks 1.0.0, symmetric signatures.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import TypeAlias
from uuid import UUID

from memoryd.events.facts import Happened
from memoryd.foundation.canonical_json import Json, canonical_bytes

CONTENT_TYPE = "application/cloudevents+json; charset=utf-8"
SECRET_MARK = "whsec_"  # noqa: S105 - what a secret begins with
SECRET_BYTES = 32
"""Source: Standard Webhooks, 24 to 64 bytes."""

TYPE_MARK = "memoryd."
"""Before an event's kind: CloudEvents asks for a word of ours in front of each type."""

Headers: TypeAlias = "dict[str, str]"


def new_secret() -> str:
    """Return a secret as receivers keep it: `whsec_` and base64."""
    return SECRET_MARK + base64.b64encode(os.urandom(SECRET_BYTES)).decode("ascii")


def envelope(event: Happened, tenant: UUID) -> bytes:
    """Return an event as it is sent: `source` names the tenant, `id` is the event's number there."""
    told: dict[str, Json] = {
        "specversion": "1.0",
        "id": str(event.seq),
        "source": f"urn:uuid:{tenant}",
        "type": TYPE_MARK + event.kind,
        "time": event.at.isoformat(),
        "datacontenttype": "application/json",
        "data": dict(event.body),
    }
    if event.subject is not None:
        told["subject"] = str(event.subject)
    return canonical_bytes(told)


def message_id(event: Happened, tenant: UUID) -> str:
    """Return what a receiver knows a repeated delivery by: the same for every try of one event."""
    return f"{tenant}_{event.seq}"


def signed_headers(secret: str, *, message: str, at: int, body: bytes) -> Headers:
    """Return the headers that prove a body: id, time (Unix seconds) and signature. `secret` is as `new_secret` gave it."""
    key = base64.b64decode(secret.removeprefix(SECRET_MARK))
    digest = hmac.digest(key, f"{message}.{at}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": "v1," + base64.b64encode(digest).decode("ascii"),
    }


def is_signed(secret: str, headers: Headers, body: bytes) -> bool:
    """Tell whether headers prove a body, as a receiver would (header names in lower case)."""
    try:
        at = int(headers["webhook-timestamp"])
        wanted = signed_headers(secret, message=headers["webhook-id"], at=at, body=body)["webhook-signature"]
    except (KeyError, ValueError, binascii.Error):
        return False
    return any(hmac.compare_digest(wanted, one) for one in headers.get("webhook-signature", "").split())
