"""The one table of chores: which kind of follow-up work is done by which function. Start-up checks that it is complete."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from memoryd.clearance import reopening, standing
from memoryd.clearance.recalls import deciding as recalls
from memoryd.clearance.recalls import marking
from memoryd.disclosure.as_they_come import disclose_as_they_come
from memoryd.dispatch import chores
from memoryd.dispatch.facts import Chore
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.ids import ReproductionId
from memoryd.ingest import enrichment
from memoryd.ingest.enriching.work import DISCLOSE
from memoryd.model_registry import following
from memoryd.reproduction import deciding, making
from memoryd.reproduction.enlargements import comparing, enlarging
from memoryd.reproduction.variants import linking, varying
from memoryd.reproduction.variants.facts import VariationId
from memoryd.storage.blob_store import BlobStore
from memoryd.submission import recalled_jobs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HandlerContext:
    """What a chore's handler may use. It opens its own units of work, as the tenant."""

    database: Database
    store: BlobStore
    tenant: TenantScope
    keys: Path


Handler = Callable[[HandlerContext, Chore], None]


def _compare_reproduction(context: HandlerContext, chore: Chore) -> None:
    for subject in chore.subjects:
        deciding.decide(
            context.database,
            context.store,
            context.tenant,
            ReproductionId(subject),
            context.keys,
            last_try=chore.attempt >= chores.TRIES_LIMIT,
        )


def _compare_enlargement(context: HandlerContext, chore: Chore) -> None:
    for subject in chore.subjects:
        comparing.decide(context.database, context.store, context.tenant, ReproductionId(subject))


def _link_variation(context: HandlerContext, chore: Chore) -> None:
    for subject in chore.subjects:
        linking.link(context.database, context.tenant, VariationId(subject))


def _follow_models(context: HandlerContext, chore: Chore) -> None:
    def go_on() -> None:
        with context.database.farm_work() as session:
            chores.extend(session, chore)

    following.follow(context.database, context.tenant, on_step=go_on)


HANDLERS: Mapping[str, Handler] = MappingProxyType(
    {
        **enrichment.HANDLERS,
        making.CHORE_KIND: _compare_reproduction,
        varying.CHORE_KIND: _link_variation,
        enlarging.CHORE_KIND: _compare_enlargement,
        DISCLOSE: disclose_as_they_come,
        standing.CHORE_KIND: standing.do_chore,
        reopening.CHORE_KIND: reopening.do_chore,
        recalls.MARK: marking.do_chore,
        recalls.END_JOBS: recalled_jobs.do_chore,
        following.CHORE_KIND: _follow_models,
    }
)
