"""`memoryd work`: the server's own follow-up work. Chores, the audit trail's sealer, the event relay, the farm's tending.

Any number of these may run: each piece of work is taken under a lease or an advisory lock, and repeats are harmless.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from memoryd.access import directory
from memoryd.app.handlers import HANDLERS, HandlerContext
from memoryd.app.serving import make_offices
from memoryd.clearance import standing
from memoryd.clearance.recalls import keeping as touches
from memoryd.dispatch import chores, telling, tending
from memoryd.dispatch.facts import Chore
from memoryd.dispatch.waking import CHORE, waker_of
from memoryd.events import delivering, relay
from memoryd.events.receivers import reach_of
from memoryd.foundation.database import Database, TenantScope
from memoryd.foundation.errors import MemorydError, Unavailable
from memoryd.foundation.ids import TenantId
from memoryd.foundation.logging import log_for
from memoryd.foundation.settings import Settings
from memoryd.ingest.enriching.turns import Turns
from memoryd.reproduction.canaries import tending as canaries
from memoryd.storage.blob_store import BlobStore

TEND_EVERY_S = 1.0
TENANTS_EVERY_S = 5.0
CHORE_IDLE_S = 0.3
DELIVER_EVERY_S = 0.5
CANARIES_EVERY_S = 3.0
TOUCHES_EVERY_S = 1.0
DOWN_WAIT_S = 1.0
"""After the database did not answer. `memoryd up` has it back within 5 s."""

_log = log_for(__name__)


class Background:
    """The loops of one process, until told to stop."""

    def __init__(self, settings: Settings, *, chore_threads: int = 1) -> None:
        """Raises: as make_offices (no database, another schema version)."""
        self.offices = make_offices(settings)
        self.database: Database = self.offices.database
        self._stop = threading.Event()
        self._tenants: dict[TenantId, TenantScope] = {}
        self._chore_threads = chore_threads
        self._waker = waker_of(self.database)
        self._chore_told = threading.Event()
        self._waker.add_ear(self._hear)
        self._turns = Turns()

    def stop_soon(self) -> None:
        """Ask every loop to end; safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until stop_soon. What is pending is sealed before the end, so that a quiet trail has no unsealed tail."""
        self._refresh_tenants()
        loops: list[tuple[Callable[[], object], float]] = [
            (self._refresh_tenants, TENANTS_EVERY_S),
            (lambda: tending.tend_once(self.database), TEND_EVERY_S),
            (self._deliver, DELIVER_EVERY_S),
            (self._keep_canaries, CANARIES_EVERY_S),
            (self._keep_touches, TOUCHES_EVERY_S),
        ]
        threads = [threading.Thread(target=self._repeat, args=loop, daemon=True) for loop in loops]
        threads.append(
            threading.Thread(
                target=relay.keep_sealing,
                args=(self.database, self.offices.keys, self._stop),
                kwargs={"carry": telling.carry},
                name="seal",
                daemon=True,
            )
        )
        threads += [threading.Thread(target=self._chores, daemon=True) for _ in range(self._chore_threads)]
        self._waker.start(self.database)
        for thread in threads:
            thread.start()
        self._stop.wait()
        self._chore_told.set()
        for thread in threads:
            thread.join()
        try:
            tending.resign(self.database)
        except MemorydError as error:
            _log.warning("the lead ends by itself after its term: %s", error.detail)
        self._waker.stop()
        self.database.close()

    def _repeat(self, act: Callable[[], object], every_s: float) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            wait = every_s
            try:
                act()
            except Unavailable as error:
                _log.warning("%s %s", error.title, error.detail)
                wait = DOWN_WAIT_S
            except Exception:
                # A loop that ends here would stop sealing or reaping for good, unseen.
                _log.exception("a round of follow-up work failed; the next round tries again")
                wait = max(every_s, DOWN_WAIT_S)
            self._stop.wait(max(0.0, wait - (time.monotonic() - started)))

    def _hear(self, word: str) -> None:
        if word == CHORE:
            self._chore_told.set()

    def _refresh_tenants(self) -> None:
        with self.database.farm_work() as session:
            self._tenants = {tenant.id: tenant for tenant in directory.list_tenants(session)}

    def _deliver(self) -> None:
        tenants, keys, reach = list(self._tenants.values()), self.offices.keys, reach_of(self.offices.settings)
        while delivering.attend(self.database, tenants, keys, reach) and not self._stop.is_set():
            pass

    def _keep_canaries(self) -> None:
        store = self.offices.store
        assert isinstance(store, BlobStore)
        canaries.tend_once(self.database, store, list(self._tenants.values()))

    def _keep_touches(self) -> None:
        for tenant in list(self._tenants.values()):
            touches.tend(self.database, tenant)
            standing.renew(self.database, tenant)

    def _chores(self) -> None:
        while not self._stop.is_set():
            try:
                self._chore_told.clear()
                if not self.do_one_chore():
                    self._chore_told.wait(CHORE_IDLE_S)
            except Unavailable:
                self._stop.wait(DOWN_WAIT_S)
            except Exception:
                _log.exception("taking a chore failed; the next round tries again")
                self._stop.wait(DOWN_WAIT_S)

    def do_one_chore(self) -> bool:
        """Take the next chore and do it; return whether there was one."""
        with self.database.farm_work() as session:
            chore = self._turns.claim(session, HANDLERS)
        if chore is None:
            return False
        tenant = self._tenants.get(chore.tenant_id)
        if tenant is None:
            self._refresh_tenants()
            tenant = self._tenants[chore.tenant_id]
        self._do(chore, tenant)
        return True

    def _do(self, chore: Chore, tenant: TenantScope) -> None:
        store = self.offices.store
        assert isinstance(store, BlobStore)
        context = HandlerContext(database=self.database, store=store, tenant=tenant, keys=self.offices.keys)
        try:
            HANDLERS[chore.kind](context, chore)
        except Exception as error:
            _log.exception("chore %s %s failed", chore.kind, chore.id)
            with self.database.farm_work() as session:
                chores.fail(session, chore, reason=f"{type(error).__name__}: {error}")
            return
        with self.database.farm_work() as session:
            chores.finish(session, chore)
