"""Trying a webhook out: one signed event, sent now, that never happened and is not kept."""

from __future__ import annotations

import datetime
from pathlib import Path
from uuid import UUID

from memoryd.events import queries, webhooks
from memoryd.events.delivering import signed
from memoryd.events.facts import Happened
from memoryd.events.receivers import Answer, Reach, send
from memoryd.foundation.database import Database, TenantScope

TEST_KIND = "webhook.test"


def try_webhook(database: Database, tenant: TenantScope, webhook: UUID, keys: Path, reach: Reach) -> Answer:
    """Return what a webhook's receiver answers to an event of kind TEST_KIND. Raises: WebhookNotFound; SealBroken."""
    with database.tenant_work(tenant) as session:
        webhooks.find_webhook(session, webhook)
        row = queries.find_webhook_secret(session, webhook=webhook)
    assert row is not None
    event = Happened(
        seq=0,
        at=datetime.datetime.now(datetime.UTC),
        kind=TEST_KIND,
        subject=webhook,
        project_id=None,
        body={"say": "it works"},
    )
    headers, body = signed(event, tenant, webhooks.opened(bytes(row.secret_sealed), webhook, keys))
    return send(row.url, headers, body, reach)
