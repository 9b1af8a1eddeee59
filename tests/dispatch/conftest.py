"""A farm with the defaults, and workers that need no HTTP."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from uuid import uuid4

import pytest

from memoryd.dispatch import jobs, pools, workers
from memoryd.dispatch.facts import PoolView, WorkerIdentity
from memoryd.dispatch.wire import RegisterRequest
from memoryd.foundation.database import Database, Session, TenantScope, take_farm
from memoryd.foundation.ids import JobId, TenantId, new_id

LONG_AGO = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


def add_worker(session: Session, tenant_id: TenantId, label: str = "gpu-1", pool: str = "default") -> WorkerIdentity:
    """Join and register a worker of a tenant."""
    token = workers.make_join_token(session, tenants=[tenant_id], pools=[pool], label=label)
    joined = workers.join(session, token, label=label, host="host", gpu_uuid=None, protocol=1)
    return start_worker(session, joined.key)


def start_worker(session: Session, key: str, **stated: object) -> WorkerIdentity:
    """Register a new start of a worker."""
    request = RegisterRequest.model_validate(
        {
            "incarnation": uuid4(),
            "label": "x",
            "host": "host",
            "environment": {"comfyui": "0.29"},
            "models": [],
            "nodes_sha256": hashlib.sha256(b"").hexdigest(),
            "classes": [],
            **stated,
        }
    )
    workers.register(session, workers.recognise(session, key), request)
    return workers.recognise(session, key)


def ask(tenant_id: TenantId, pool: PoolView, **asked: object) -> jobs.JobAsked:
    """A job to be queued."""
    values: dict[str, object] = {"job_id": JobId(new_id()), "tenant_id": tenant_id, "pool_id": pool.id, **asked}
    return jobs.JobAsked(**values)  # type: ignore[arg-type]


@pytest.fixture
def farm(farm_session: Session) -> Session:
    """A rolled-back transaction on the farm, with the defaults."""
    pools.ensure_defaults(farm_session)
    return farm_session


@pytest.fixture
def pool(farm: Session, tenant: TenantScope) -> PoolView:
    """The default pool."""
    return pools.find_pool(farm, "default", tenant_id=tenant.id)


@pytest.fixture
def worker(farm: Session, tenant: TenantScope) -> WorkerIdentity:
    """A worker of tenant `default`."""
    return add_worker(farm, tenant.id)


@pytest.fixture
def enqueue(farm: Session, tenant: TenantScope, pool: PoolView) -> Callable[..., JobId]:
    """Put a job of tenant `default` into the queue."""

    def put(**asked: object) -> JobId:
        return jobs.enqueue(farm, ask(tenant.id, pool, **asked)).job_id

    return put


@pytest.fixture
def served(database: Database) -> Database:
    """A database of the test's own, with the defaults."""
    with database.farm_work() as session:
        take_farm(session)
        pools.ensure_defaults(session)
    return database
