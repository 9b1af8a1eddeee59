"""`memoryd watch`: one watcher per tenant that has folders on this machine, in one process."""

from __future__ import annotations

import threading

from memoryd.access import directory
from memoryd.app.serving import make_offices
from memoryd.foundation.database import TenantScope
from memoryd.foundation.errors import MemorydError
from memoryd.foundation.ids import TenantId
from memoryd.foundation.logging import log_for
from memoryd.foundation.settings import Settings
from memoryd.ingest.watching import Watcher
from memoryd.storage.blob_store import BlobStore

TENANTS_EVERY_S = 10.0
"""A new tenant's folders are watched this soon. A new folder of a known tenant is the watcher's own affair."""

_log = log_for(__name__)


class Watch:
    """The watchers of all tenants, until told to stop."""

    def __init__(self, settings: Settings) -> None:
        """Raises: as make_offices (no database, another schema version)."""
        self._offices = make_offices(settings)
        self._stop = threading.Event()
        self._watchers: dict[TenantId, tuple[Watcher, threading.Thread]] = {}

    def stop_soon(self) -> None:
        """Ask every watcher to end after its present batch; safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Watch until stop_soon."""
        while not self._stop.is_set():
            try:
                for tenant in self._tenants():
                    self._ensure(tenant)
            except MemorydError as error:
                _log.warning("%s %s", error.title, error.detail)
            self._stop.wait(TENANTS_EVERY_S)
        for watcher, _ in self._watchers.values():
            watcher.stop_soon()
        for _, thread in self._watchers.values():
            thread.join()
        self._offices.database.close()

    def _tenants(self) -> list[TenantScope]:
        with self._offices.database.farm_work() as session:
            return directory.list_tenants(session)

    def _ensure(self, tenant: TenantScope) -> None:
        known = self._watchers.get(tenant.id)
        if known is not None and known[1].is_alive():
            return
        if known is not None:
            _log.error("the watcher of %s ended; starting it again", tenant.slug)
        assert isinstance(self._offices.store, BlobStore)
        watcher = Watcher(self._offices.database, tenant, self._offices.store)
        thread = threading.Thread(target=watcher.run, name=f"watch-{tenant.slug}", daemon=True)
        self._watchers[tenant.id] = (watcher, thread)
        thread.start()
