"""Bringing events to their webhooks: at least once, each try signed, spread over three days before it is given up.

What is to be sent is written down first, in the order of events; a delivery is taken for a while, sent outside any
transaction, and its outcome written after. A crash in between sends it once more, under the same id.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from memoryd.access.sealing import SealBroken
from memoryd.events import queries, webhooks
from memoryd.events.facts import Happened
from memoryd.events.receivers import Answer, Reach, send
from memoryd.events.signatures import Headers, envelope, message_id, signed_headers
from memoryd.events.streams import happened
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.logging import log_for

AT_ONCE = 8
"""Deliveries under way at once, per tenant: a slow receiver holds up few others."""

FAN_OUT_LIMIT = 1_000
"""Events that one transaction turns into deliveries, per webhook."""

TAKEN_FOR_S = 60.0
"""After this a delivery whose sender vanished is taken again."""

RETRY_AFTER_S = (5.0, 30.0, 120.0, 600.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 86_400.0)
"""How long after each failed try the next one is made, up to a quarter more: three days in all, then it is given up."""

JITTER = 0.25
ANSWER_KEPT = 500
"""Characters of a receiver's last answer."""

Sender: TypeAlias = Callable[[str, Headers, bytes, Reach], Answer]

_log = log_for(__name__)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    webhook: UUID
    url: str
    secret_sealed: bytes
    tries: int
    event: Happened


def deliver_once(database: Database, tenant: TenantScope, keys: Path, reach: Reach, *, sender: Sender = send) -> int:
    """Take what is due, AT_ONCE at most, send it, and note what became of it; return how many were tried.

    First it is written down which event goes to which webhook, as far as events were relayed.
    """
    with database.tenant_work(tenant) as session:
        for webhook in queries.lock_webhooks_behind(session):
            queries.fan_out(session, webhook=webhook, limit=FAN_OUT_LIMIT)
        due = [_due(row) for row in queries.take_due(session, limit=AT_ONCE, taken_for_s=TAKEN_FOR_S)]
    if not due:
        return 0
    with ThreadPoolExecutor(len(due), thread_name_prefix="webhook") as pool:
        answers = list(pool.map(lambda one: _send(one, tenant, keys, reach, sender), due))
    with database.tenant_work(tenant) as session:
        for one, answer in sorted(
            zip(due, answers, strict=True), key=lambda pair: (pair[0].webhook, pair[0].event.seq)
        ):
            if answer.gone:
                queries.update_webhook_disabled(session, webhook=one.webhook, disabled=True)
                _log.warning("webhook %s is switched off: its receiver says that it is gone", one.webhook)
            wait = None if answer.taken or answer.gone else _wait_after(one.tries, answer)
            queries.note_delivery(
                session,
                webhook=one.webhook,
                seq=one.event.seq,
                answer=f"{answer.detail} in {answer.took_s * 1000:.0f} ms"[:ANSWER_KEPT],
                delivered=answer.taken,
                wait_s=wait,
            )
    return len(due)


def attend(database: Database, tenants: Sequence[TenantScope], keys: Path, reach: Reach) -> int:
    """Deliver for every tenant what is due; return how many were tried."""
    return sum(deliver_once(database, tenant, keys, reach) for tenant in tenants)


def signed(event: Happened, tenant: TenantScope, secret: str) -> tuple[Headers, bytes]:
    """Return an event's headers and body, signed now."""
    body = envelope(event, tenant.id)
    return signed_headers(secret, message=message_id(event, tenant.id), at=int(time.time()), body=body), body


def _send(one: _Due, tenant: TenantScope, keys: Path, reach: Reach, sender: Sender) -> Answer:
    try:
        headers, body = signed(one.event, tenant, webhooks.opened(one.secret_sealed, one.webhook, keys))
    except SealBroken as error:
        return Answer(status=None, detail=f"not sent: {error.title} {error.detail}", took_s=0.0)
    return sender(one.url, headers, body, reach)


def _wait_after(tries: int, answer: Answer) -> float | None:
    if tries > len(RETRY_AFTER_S):
        return None
    wait = RETRY_AFTER_S[tries - 1] * (1 + random.uniform(0, JITTER))  # noqa: S311 - spreads load, guards nothing
    return max(wait, answer.retry_after_s or 0.0)


def _due(row: queries.AnyRow) -> _Due:
    return _Due(
        webhook=row.webhook_id,
        url=row.url,
        secret_sealed=bytes(row.secret_sealed),
        tries=row.tries,
        event=happened(row),
    )
