"""When a job will start and end, told from a snapshot in memory: submitting asks the database nothing for it.

A thread of each process reads the snapshot every REFRESH_S while it is asked for. What waits far behind is read more
seldom, so that reading takes SHARE_OF_TIME at most however long the queue is. What this process has enqueued since is
added; what others have, within a second, is not.
"""

from __future__ import annotations

import bisect
import dataclasses
import heapq
import itertools
import math
import threading
import time
import weakref
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from uuid import UUID

from memoryd.dispatch.queries import estimates
from memoryd.foundation.database import Database, Engine
from memoryd.foundation.errors import Unavailable
from memoryd.foundation.ids import PoolId, TenantId
from memoryd.foundation.logging import log_for

REFRESH_S = 1.0
STALE_S = 5.0
"""An older snapshot is read anew before it is used: the thread has just been started, or the database was away."""
IDLE_S = 30.0
"""The thread ends when nobody has asked for so long."""
SHARE_OF_TIME = 0.02
NOTED_LIMIT = 20_000
"""Jobs of this process that are remembered until what waits behind is read again."""
ONE_BY_ONE = 64
"""Jobs ahead that are placed on the workers one by one; more flow evenly."""

RUN_SPREAD = 0.35
"""A run's distance from its estimate, as a share of it, where nothing better is known."""
PACE_SPREAD = 0.25
"""The same for the whole of what is ahead: later arrivals that go first, loading of models, workers that pause."""
P90 = 1.2816
"""Source: the normal distribution's 90 % quantile."""

_log = log_for(__name__)
_OrderKey = tuple[UUID, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """When a job starts and ends, in seconds from now; None: no worker of its pool is online, or the pool is paused.

    `position`: at most so many jobs go before it, of those that wait now.
    """

    position: int
    starts_p50_s: float | None
    starts_p90_s: float | None
    ends_p50_s: float | None
    ends_p90_s: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Waiting jobs of neighbouring tags. Tags and costs in milliseconds, ages in seconds."""

    low: int
    high: int
    jobs: int
    cost_ms: int
    oldest_s: float
    newest_s: float

    def below(self, vtag: int, above: int) -> tuple[float, float]:
        """Return how many jobs and how much cost lie between two tags, taken to be spread evenly."""
        low, high = max(self.low, above), min(self.high, vtag)
        if high < low:
            return 0.0, 0.0
        share = 1.0 if self.high == self.low else (high - low) / (self.high - self.low)
        return self.jobs * share, self.cost_ms * share

    def older(self, age_s: float) -> tuple[float, float]:
        """Return how many jobs and how much cost have waited longer than `age_s`, taken to have come evenly."""
        if self.newest_s >= age_s:
            return float(self.jobs), float(self.cost_ms)
        if self.oldest_s <= age_s:
            return 0.0, 0.0
        share = (self.oldest_s - age_s) / (self.oldest_s - self.newest_s)
        return self.jobs * share, self.cost_ms * share


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """All that waits, by pool and class, as it was at `at` (monotonic seconds)."""

    at: float
    parts: Mapping[_OrderKey, tuple[Part, ...]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first waiting jobs of a pool and class: their tags, and the costs of all up to each."""

    tags: tuple[int, ...]
    costs: tuple[int, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The queue as it was at `at` (monotonic seconds)."""

    at: float
    offsets: Mapping[int, float]
    """Seconds that each class gives way to newer, more urgent jobs."""
    heads: Mapping[_OrderKey, Head]
    spread: Spread
    running: Mapping[UUID, tuple[int, ...]]
    """What each run of a pool still takes, in milliseconds."""
    workers: Mapping[UUID, tuple[tuple[tuple[UUID, ...], int], ...]]
    """Workers that are online, by pool: whom they serve (empty: everybody), and how many."""
    paused: frozenset[UUID]


_Noted = tuple[float, int, int]


class Estimates:
    """The snapshot of one process on one database, and the thread that keeps it fresh. Thread-safe."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._noted: dict[_OrderKey, deque[_Noted]] = defaultdict(lambda: deque(maxlen=NOTED_LIMIT))
        self._asked_at = 0.0
        self._spread_due = 0.0
        self._thread: threading.Thread | None = None

    def current(self, database: Database) -> Snapshot:
        """Return the snapshot, read now where there is none or an old one. Raises: DatabaseDown."""
        now = time.monotonic()
        self._asked_at = now
        found = self._snapshot
        if found is None or now - found.at > STALE_S:
            found = self.refresh(database)
        if self._thread is None or not self._thread.is_alive():
            self._start(database)
        return found

    def refresh(self, database: Database, *, whole: bool = False) -> Snapshot:
        """Read the snapshot now; `whole`: what waits far behind too. Raises: DatabaseDown."""
        with self._reading:
            snapshot, self._spread_due = read_snapshot(
                database, earlier=None if whole else self._snapshot, spread_due=self._spread_due
            )
            self._snapshot = snapshot
            for noted in list(self._noted.values()):
                while noted and noted[0][0] < snapshot.spread.at:
                    noted.popleft()
        return snapshot

    def note(self, pool_id: UUID, class_id: int, vtag: int, cost_ms: int) -> None:
        """Remember a job that this process has enqueued since."""
        self._noted[pool_id, class_id].append((time.monotonic(), vtag, cost_ms))

    def noted(self, key: _OrderKey) -> list[_Noted]:
        """Return what was noted of a pool and class."""
        # A copy: other threads may append meanwhile, which list() of a deque survives only when tried again.
        while True:
            try:
                return list(self._noted[key]) if key in self._noted else []
            except RuntimeError:
                continue

    def _start(self, database: Database) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=_keep_fresh, args=(weakref.ref(self), weakref.ref(database)), name="memoryd-estimates"
                )
                self._thread.daemon = True
                self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether nobody has asked for a while."""
        return time.monotonic() - self._asked_at > IDLE_S


_kept: weakref.WeakKeyDictionary[Engine, Estimates] = weakref.WeakKeyDictionary()
_kept_lock = threading.Lock()


def estimates_of(database: Database) -> Estimates:
    """Return this process's estimates on a database."""
    with _kept_lock:
        return _kept.setdefault(database.engine, Estimates())


def snapshot_of(database: Database) -> Snapshot:
    """Return the queue as it was a second ago at most, without a query unless it was not asked for lately.

    Raises: DatabaseDown.
    """
    return estimates_of(database).current(database)


def _keep_fresh(kept: weakref.ref[Estimates], database: weakref.ref[Database]) -> None:
    while True:
        time.sleep(REFRESH_S)
        ours, base = kept(), database()
        if ours is None or base is None or base.closed or ours.idle:
            return
        try:
            ours.refresh(base)
        except Unavailable as error:
            _log.info("no estimates for the moment: %s", error.detail)
        except Exception:
            _log.exception("reading the queue for estimates failed; the next round tries again")
        del ours, base


def read_snapshot(
    database: Database, *, earlier: Snapshot | None = None, spread_due: float = 0.0
) -> tuple[Snapshot, float]:
    """Return the queue as it is now, and when all that waits is to be read again (monotonic seconds).

    Raises: DatabaseDown.
    """
    at = time.monotonic()
    with database.farm_work() as session:
        spread = earlier.spread if earlier is not None and at < spread_due else None
        if spread is None:
            spread = Spread(at=at, parts=_parts(estimates.list_spread(session)))
            took = time.monotonic() - at
            spread_due = at + max(REFRESH_S / 2, took / SHARE_OF_TIME)
        heads = {
            (row.pool_id, row.class_id): Head(tags=tuple(row.tags), costs=tuple(itertools.accumulate(row.costs)))
            for row in estimates.list_heads(session)
        }
        workers: dict[UUID, list[tuple[tuple[UUID, ...], int]]] = defaultdict(list)
        for row in estimates.list_presence(session):
            workers[row.pool_id].append((tuple(row.serves), row.workers))
        snapshot = Snapshot(
            at=at,
            offsets={row.id: row.age_offset_s for row in estimates.list_classes(session)},
            heads=heads,
            spread=spread,
            running={row.pool_id: tuple(row.left_ms) for row in estimates.list_running(session)},
            workers={pool_id: tuple(found) for pool_id, found in workers.items()},
            paused=frozenset(row.pool_id for row in estimates.list_pools(session)),
        )
    return snapshot, spread_due


def _parts(rows: Sequence[estimates.Found]) -> dict[_OrderKey, tuple[Part, ...]]:
    found: dict[_OrderKey, list[Part]] = defaultdict(list)
    for row in rows:
        found[row.pool_id, row.class_id].append(
            Part(
                low=row.low,
                high=row.high,
                jobs=row.jobs,
                cost_ms=row.cost_ms,
                oldest_s=row.oldest_s,
                newest_s=row.newest_s,
            )
        )
    return {key: tuple(parts) for key, parts in found.items()}


def estimate(
    snapshot: Snapshot,
    pool_id: PoolId,
    class_id: int,
    vtag: int,
    cost_ms: int,
    *,
    tenant_id: TenantId | None = None,
    spread: float = RUN_SPREAD,
    noted: Sequence[_Noted] = (),
    after_s: float = 0.0,
) -> Estimate:
    """Return when a job with this tag starts and ends. Pure.

    `spread`: how far its runs lie from `cost_ms`, as a share. `noted`: jobs enqueued since (`Estimates.noted`).
    `after_s`: it does not start before.
    """
    jobs, cost = _ahead(snapshot, (pool_id, class_id), vtag, noted)
    online = sum(
        count
        for serves, count in snapshot.workers.get(pool_id, ())
        if not serves or tenant_id is None or tenant_id in serves
    )
    position = math.ceil(jobs)
    if not online or pool_id in snapshot.paused:
        return Estimate(position=position, starts_p50_s=None, starts_p90_s=None, ends_p50_s=None, ends_p90_s=None)
    left = snapshot.running.get(pool_id, ())
    starts = _starts_ms(left, online, position, cost)
    mean = cost / jobs if jobs >= 1 else cost_ms
    # What runs counts as one more job's uncertainty: how far its runs are is known only roughly.
    doubt = math.hypot(RUN_SPREAD * mean * math.sqrt(jobs + len(left[:online])), PACE_SPREAD * (cost + sum(left)))
    doubt = doubt / online if starts > 0 else 0.0
    own = spread * cost_ms
    after = after_s * 1000
    return Estimate(
        position=position,
        starts_p50_s=_seconds(max(after, starts)),
        starts_p90_s=_seconds(max(after, starts + P90 * doubt)),
        ends_p50_s=_seconds(max(after, starts) + cost_ms),
        ends_p90_s=_seconds(max(after, starts) + cost_ms + P90 * math.hypot(doubt, own)),
    )


def _ahead(snapshot: Snapshot, key: _OrderKey, vtag: int, noted: Sequence[_Noted]) -> tuple[float, float]:
    """Return how many jobs, and how much cost, go before a tag."""
    jobs, cost = _ahead_in_class(snapshot, key, vtag, noted)
    pool_id, class_id = key
    for other, offset in snapshot.offsets.items():
        if other == class_id:
            continue
        # Its head goes first where it came earlier by more than it gives way.
        age = offset - snapshot.offsets.get(class_id, 0.0)
        for part in snapshot.spread.parts.get((pool_id, other), ()):
            more, dearer = (part.jobs, part.cost_ms) if age <= 0 else part.older(age)
            jobs, cost = jobs + more, cost + dearer
    return jobs, cost


def _ahead_in_class(snapshot: Snapshot, key: _OrderKey, vtag: int, noted: Sequence[_Noted]) -> tuple[float, float]:
    head = snapshot.heads.get(key)
    parts = snapshot.spread.parts.get(key, ())
    jobs, cost, known_to = 0.0, 0.0, -1
    if head is not None:
        place = bisect.bisect_right(head.tags, vtag)
        jobs, cost = float(place), float(head.costs[place - 1] if place else 0)
        # A full page says nothing of what lies behind it; a shorter one is all that there is.
        known_to = head.tags[-1] if len(head.tags) >= estimates.HEAD_LIMIT else vtag
    for part in parts if vtag > known_to and head is not None else ():
        more, dearer = part.below(vtag, known_to)
        jobs, cost = jobs + more, cost + dearer
    for at, tag, price in noted:
        since = snapshot.at if tag <= known_to or head is None else snapshot.spread.at
        if tag <= vtag and at > since:
            jobs, cost = jobs + 1, cost + price
    return jobs, cost


def _starts_ms(left: Sequence[int], online: int, jobs: int, cost: float) -> float:
    """Return when the job behind `jobs` jobs of together `cost` starts on workers whose runs have so much `left`."""
    free = [0] * max(0, online - len(left)) + sorted(left)[:online]
    if jobs > ONE_BY_ONE:
        return (sum(free) + cost) / online
    heapq.heapify(free)
    ends = [float(one) for one in free]
    for _ in range(jobs):
        heapq.heapreplace(ends, ends[0] + cost / jobs)
    return ends[0]


def _seconds(milliseconds: float) -> float:
    return round(milliseconds / 1000, 1)
