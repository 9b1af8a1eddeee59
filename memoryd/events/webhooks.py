"""Webhooks: addresses that are told of a tenant's events, each with a secret of its own, sealed where it is stored."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from memoryd.access.sealing import seal, server_key, unseal
from memoryd.events import queries
from memoryd.events.receivers import check_url
from memoryd.events.signatures import new_secret
from memoryd.foundation.database import Session
from memoryd.foundation.errors import Conflict, NotAcceptable, NotFound
from memoryd.foundation.ids import new_id
from memoryd.foundation.paging import Page, decode_cursor, encode_cursor, page_size

WEBHOOKS_LIMIT = 50
"""Of one tenant: each is sent every event it asked for."""

KINDS_LIMIT = 50
KIND_LENGTH_LIMIT = 100
KEY_FILE = "webhooks.key"
_ABOUT = b"webhook"


class WebhookNotFound(NotFound):
    """There is no such webhook."""


class DeliveryNotFound(NotFound):
    """There is no such delivery."""


class BadWebhook(NotAcceptable):
    """A webhook cannot be made like this."""


class TooManyWebhooks(Conflict):
    """This tenant has as many webhooks as it may have."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WebhookView:
    """An address that is told of events. `kinds` empty: of all; `job.*` is every kind that begins so."""

    id: UUID
    url: str
    kinds: tuple[str, ...]
    created_at: datetime.datetime
    disabled_at: datetime.datetime | None
    waiting: int
    failed: int
    delivered: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryView:
    """One event on its way to one address. `last_answer` is the receiver's, in words."""

    seq: int
    kind: str
    at: datetime.datetime
    tries: int
    last_answer: str | None
    next_try_at: datetime.datetime | None
    delivered_at: datetime.datetime | None
    failed_at: datetime.datetime | None


def add_webhook(session: Session, url: str, kinds: Sequence[str], keys: Path) -> tuple[UUID, str]:
    """Return a new webhook's id and its secret, which is readable only here. It is told of what happens from now on.

    Raises: ReceiverRefused; BadWebhook; TooManyWebhooks.
    """
    check_url(url)
    asked = tuple(dict.fromkeys(kinds))
    if len(asked) > KINDS_LIMIT or any(not _is_kind(kind) for kind in asked):
        raise BadWebhook(
            f"kinds {list(asked)[:5]}", hint="name kinds such as job.succeeded, asset.recorded, or job.* for all of job"
        )
    if queries.count_webhooks(session) >= WEBHOOKS_LIMIT:
        raise TooManyWebhooks(f"{WEBHOOKS_LIMIT} (WEBHOOKS_LIMIT)", hint="remove one that nobody needs")
    webhook, secret = UUID(bytes=new_id().bytes), new_secret()
    queries.insert_webhook(
        session, id=webhook, url=url, kinds=list(asked) or None, secret_sealed=_sealed(secret, webhook, keys)
    )
    return webhook, secret


def _is_kind(kind: str) -> bool:
    word = kind.removesuffix(".*").replace(".", "").replace("_", "").replace("-", "")
    return 0 < len(kind) <= KIND_LENGTH_LIMIT and word.isascii() and word.isalnum()


def renew_secret(session: Session, webhook: UUID, keys: Path) -> str:
    """Return a fresh secret for a webhook; the old one signs nothing any more. Raises: WebhookNotFound."""
    secret = new_secret()
    if not queries.update_webhook_secret(session, webhook=webhook, secret_sealed=_sealed(secret, webhook, keys)):
        raise _not_found(webhook)
    return secret


def list_webhooks(session: Session) -> list[WebhookView]:
    """Return the tenant's webhooks, oldest first."""
    return [_view(row) for row in queries.list_webhooks(session)]


def find_webhook(session: Session, webhook: UUID) -> WebhookView:
    """Return one webhook. Raises: WebhookNotFound."""
    for row in queries.list_webhooks(session, webhook=webhook):
        return _view(row)
    raise _not_found(webhook)


def remove_webhook(session: Session, webhook: UUID) -> None:
    """Forget a webhook and what was to be sent to it. Raises: WebhookNotFound."""
    if not queries.delete_webhook(session, webhook=webhook):
        raise _not_found(webhook)


def switch(session: Session, webhook: UUID, *, on: bool) -> None:
    """Let a webhook be told again, from where it stopped, or no more for now. Raises: WebhookNotFound."""
    if not queries.update_webhook_disabled(session, webhook=webhook, disabled=not on):
        raise _not_found(webhook)


def list_deliveries(session: Session, webhook: UUID, *, cursor: str | None, limit: int | None) -> Page[DeliveryView]:
    """Return a webhook's deliveries, newest first. Raises: WebhookNotFound; BadCursor; BadPageSize."""
    find_webhook(session, webhook)
    size = page_size(limit)
    before = decode_cursor(cursor, 1)[0] if cursor else None
    rows = queries.list_deliveries(
        session, webhook=webhook, before=before if isinstance(before, int) else None, limit=size + 1
    )
    more = encode_cursor(rows[size - 1].seq) if len(rows) > size else None
    return Page(rows=[_delivery(row) for row in rows[:size]], next_cursor=more)


def retry(session: Session, webhook: UUID, seq: int) -> None:
    """Let a delivery be tried again now, with all its tries. Raises: DeliveryNotFound."""
    if not queries.retry_delivery(session, webhook=webhook, seq=seq):
        raise DeliveryNotFound(f"event {seq}", hint="`memoryd webhooks deliveries ID` lists them")


def opened(sealed: bytes, webhook: UUID, keys: Path) -> str:
    """Return a webhook's secret. Raises: SealBroken."""
    return unseal(server_key(keys, KEY_FILE), sealed, about=_ABOUT + webhook.bytes).decode("ascii")


def _sealed(secret: str, webhook: UUID, keys: Path) -> bytes:
    return seal(server_key(keys, KEY_FILE), secret.encode("ascii"), about=_ABOUT + webhook.bytes)


def _view(row: queries.AnyRow) -> WebhookView:
    return WebhookView(
        id=row.id,
        url=row.url,
        kinds=tuple(row.kinds or ()),
        created_at=row.created_at,
        disabled_at=row.disabled_at,
        waiting=row.waiting,
        failed=row.failed,
        delivered=row.delivered,
    )


def _delivery(row: queries.AnyRow) -> DeliveryView:
    open_ = row.delivered_at is None and row.failed_at is None
    return DeliveryView(
        seq=row.seq,
        kind=row.kind,
        at=row.at,
        tries=row.tries,
        last_answer=row.last_answer,
        next_try_at=row.next_try_at if open_ else None,
        delivered_at=row.delivered_at,
        failed_at=row.failed_at,
    )


def _not_found(webhook: UUID) -> WebhookNotFound:
    return WebhookNotFound(f"webhook {webhook}", hint="`memoryd webhooks list` shows them")
