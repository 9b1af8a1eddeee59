"""The checks of `memoryd doctor`: each a line that says what is well, and what to do where it is not."""

from __future__ import annotations

import dataclasses
import enum
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from memoryd.access import directory
from memoryd.access.trail_export import verify_trail
from memoryd.app.connecting import addresses, embedded_cluster
from memoryd.catalog import roots as catalog_roots
from memoryd.foundation.database import SERVER_ROLE, Database, TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.migrations import require_current, schema_states
from memoryd.foundation.settings import SECRET_FOLDER_MODE, SECRET_MODE, Settings
from memoryd.ingest.facts import RootHealth
from memoryd.ingest.roots import health, this_host
from memoryd.storage.blob_store import BlobStore
from memoryd_cli import queries
from memoryd_cli.embedded import borrowed_postgres

BLOBS_LOOKED_AT = 2_000
"""Blobs of a tenant whose file must be there with its size."""

BLOBS_READ = 20
"""Blobs of a tenant whose every byte is hashed."""

SPACE_FAIL_BYTES = 1 * 1024**3
SPACE_WARN_BYTES = 10 * 1024**3
UNSEALED_WARN_S = 60.0
"""The sealer comes by every 0.2 s: what waits this long waits for nobody."""

PUBLIC_FILES = frozenset({"memoryd-cluster", "chain.pem", "root.pem"})
ANCHORS = "anchors"
"""Among the keys lie files that are no secrets: the cluster's mark, certificates."""


class State(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's."""

    check: str
    state: State
    said: str
    next_step: str | None = None


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what is found, in the order in which it is to be mended. Nothing is changed but that Postgres is started."""
    yield from _home(settings)
    yield from _space(settings)
    cluster = embedded_cluster(settings)
    if cluster is not None and not cluster.is_made():
        yield _warn("database", "there is none yet", "`memoryd up FOLDER`, or `memoryd db upgrade`")
        return
    with borrowed_postgres(settings):
        yield from _database(settings)


def _home(settings: Settings) -> Iterator[Finding]:
    if not settings.home.is_dir():
        yield _warn("home", f"{settings.home} is not there yet", "it is made by `memoryd up`")
        return
    yield _ok("home", str(settings.home))
    if (settings.home / ".unfinished").exists():
        yield _fail("home", "a restore was interrupted", "repeat `memoryd restore DIR`")
    folder = settings.secrets_folder
    if not folder.is_dir():
        yield _warn("keys", f"{folder} is not there yet", "it is made with the first key")
        return
    open_ones = [folder] if _wider(folder, SECRET_FOLDER_MODE) else []
    open_ones += [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name not in PUBLIC_FILES
        and path.parent.name != ANCHORS
        and _wider(path, SECRET_MODE)
    ]
    if open_ones:
        shown = ", ".join(str(path) for path in open_ones[:5])
        yield _fail("keys", f"readable by others: {shown}", f"chmod -R go-rwx {folder}")
    else:
        yield _ok("keys", f"{folder}: nobody else can read them")


def _wider(path: Path, mode: int) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & ~mode)


def _space(settings: Settings) -> Iterator[Finding]:
    place = settings.home
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    said = f"{free / 1024**3:.1f} GiB free at {place}"
    if free < SPACE_FAIL_BYTES:
        yield _fail("space", said, "make room: Postgres stops when it can no longer write")
    elif free < SPACE_WARN_BYTES:
        yield _warn("space", said, "make room soon")
    else:
        yield _ok("space", said)


def _database(settings: Settings) -> Iterator[Finding]:
    try:
        where = addresses(settings)
        states = schema_states(where.owner)
    except MemorydError as error:
        yield _error("database", error)
        return
    try:
        require_current(states)
    except MemorydError as error:
        yield _error("tables", error)
        return
    database = Database(where.server, pool_size=1)
    try:
        with database.farm_work() as session:
            versions = queries.read_versions(session)
            tenants = directory.list_tenants(session)
            faults = queries.list_role_faults(session, SERVER_ROLE, [tenant.role for tenant in tenants])
        yield _ok("database", f"Postgres {versions.server}, pgvector {versions.vector}")
        yield _ok("tables", f"{len(states)} schemas at this version")
        if faults:
            yield _fail("roles", "; ".join(faults[:5]), "`memoryd db upgrade` gives them anew")
        else:
            yield _ok("roles", f"{len(tenants)} tenants kept apart")
        for tenant in tenants:
            for check in (_blobs, _watch_roots, _trail):
                yield from _guarded(check, settings, database, tenant)
    except MemorydError as error:
        yield _error("database", error)
    finally:
        database.close()


def _guarded(
    check: Callable[[Settings, Database, TenantScope], Iterator[Finding]],
    settings: Settings,
    database: Database,
    tenant: TenantScope,
) -> Iterator[Finding]:
    try:
        yield from check(settings, database, tenant)
    except MemorydError as error:
        yield _error(f"{check.__name__.strip('_').replace('_', ' ')} of {tenant.slug}", error)


def _blobs(settings: Settings, database: Database, tenant: TenantScope) -> Iterator[Finding]:
    name = f"blobs of {tenant.slug}"
    store = BlobStore(settings.home / "blobs")
    with database.tenant_work(tenant) as session:
        count = queries.count_blobs(session)
        sample = queries.sample_blobs(session, BLOBS_LOOKED_AT)
    missing, damaged = [], []
    for place, row in enumerate(sample):
        path: Path = store.path(tenant.slug, row.sha256)
        if not path.is_file() or path.stat().st_size != row.size:
            missing.append(row.sha256.hex())
        elif place < BLOBS_READ:
            try:
                store.open_verified(tenant.slug, row.sha256).close()
            except MemorydError:
                damaged.append(row.sha256.hex())
    if missing or damaged:
        said = f"of {len(sample)} looked at, {len(missing)} missing or cut off, {len(damaged)} damaged"
        yield _fail(name, f"{said}: {(missing + damaged)[0][:16]}…", f"restore {store.home} from a backup")
    else:
        yield _ok(name, f"{count}; {len(sample)} looked at, {min(len(sample), BLOBS_READ)} read")


def _watch_roots(settings: Settings, database: Database, tenant: TenantScope) -> Iterator[Finding]:
    with database.tenant_work(tenant) as session:
        roots = catalog_roots.list_roots(session)
    host = this_host()
    for root in roots:
        name = f"folder {root.shown_path}"
        if root.host != host:
            yield _ok(name, f"watched by {root.host}")
            continue
        found = health(root)
        if found is RootHealth.WELL:
            yield _ok(name, root.state.value)
        else:
            yield _warn(name, found.value, "mount it again; meanwhile nothing in it is taken for deleted")


def _trail(settings: Settings, database: Database, tenant: TenantScope) -> Iterator[Finding]:
    name = f"audit trail of {tenant.slug}"
    verdict = verify_trail(database, tenant, settings.secrets_folder)
    with database.tenant_work(tenant) as session:
        waiting_s = queries.oldest_pending_s(session)
    if not verdict.intact:
        first = verdict.findings[0].sentence
        yield _fail(name, f"{verdict.defects} defects: {first}", "`memoryd audit verify` shows them; compare a backup")
    elif waiting_s is not None and waiting_s > UNSEALED_WARN_S:
        yield _warn(name, f"{verdict.unsealed} actions not sealed for {waiting_s:.0f} s", "start `memoryd work`")
    else:
        yield _ok(name, f"{verdict.entries} entries, signed up to {verdict.signed_to}, {verdict.unsealed} unsealed")


def _ok(check: str, said: str) -> Finding:
    return Finding(check=check, state=State.OK, said=said)


def _warn(check: str, said: str, next_step: str) -> Finding:
    return Finding(check=check, state=State.WARN, said=said, next_step=next_step)


def _fail(check: str, said: str, next_step: str) -> Finding:
    return Finding(check=check, state=State.FAIL, said=said, next_step=next_step)


def _error(check: str, error: MemorydError) -> Finding:
    return Finding(check=check, state=State.FAIL, said=f"{error.title} {error.detail}", next_step=error.hint)
