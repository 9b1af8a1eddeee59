"""A farm on fire: kill -9 of everything, cut networks, zombies; and then nothing may be lost, doubled, or wrong.

Run: `make chaos`, or `python tests/chaos/run.py [--jobs N] [--minutes M] [--seed S] [--keep]`. Two servers, two processes
of follow-up work, engines, real and light workers, workers on the queue itself, submitters, cancellers and pausers;
each is killed at random and started again, Postgres too; a network link is taken down; processes freeze and go on with
old tokens; a snapshot is held open. Then every job that was confirmed must have ended in exactly one way.
Prints figures and `N passed, N failed`. First comes `boundaries`: kill -9 of Postgres between any two statements.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import random
import sys
import threading
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parent))

from boundaries import check_boundaries
from checks import Seen, check
from farm import Farm
from journal import read

WHOLE_WAY_OF_100 = 25
"""Of a hundred jobs, so many go the whole way: over HTTP, through a worker, with a picture that is recorded."""
SETTLE_LIMIT_S = 120.0
KILL_EVERY_S = (1.5, 4.0)
"""A process of this farm takes 1 to 3 s of one core to start again: more kills would be a test of starting."""
POSTGRES_EVERY_S = 16.0
CUT_EVERY_S = 17.0
FROZEN_IN_A_TRANSACTION = 0.25
LOOK_EVERY_S = 0.2
GROWN_S = 10.0
"""Seconds that a process lives before it may be killed: most of one second goes into its start."""


class Fire:
    """What is done to a farm, until it is put out."""

    def __init__(self, farm: Farm, seed: int) -> None:
        """Nothing burns yet."""
        self.farm, self.dice = farm, random.Random(seed)
        self.done: collections.Counter[str] = collections.Counter()
        self._out = threading.Event()
        self._threads = [
            threading.Thread(target=self._guard, args=(act,), daemon=True)
            for act in (self._kill, self._freeze, self._postgres, self._cut, self._hold)
        ]

    def light(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def put_out(self) -> None:
        """End, with everything as it was."""
        self._out.set()
        for thread in self._threads:
            thread.join()

    def _guard(self, act: object) -> None:
        assert callable(act)
        while not self._out.is_set():
            try:
                act()
            except (OSError, psycopg.Error) as error:
                print(f"   (the fire itself met {type(error).__name__}: {str(error)[:120]})", flush=True)
                self._out.wait(1.0)

    def _kill(self) -> None:
        if self._out.wait(self.dice.uniform(*KILL_EVERY_S)):
            return
        # Only what has come so far as to do something: a machine that only starts processes proves nothing.
        grown = [part for part in self.farm.parts.values() if part.age_s > GROWN_S]
        if not grown:
            return
        part = self.dice.choice(grown)
        part.rests_until = time.monotonic() + self.dice.uniform(0.0, 1.5)
        part.kill()
        self.done[f"kill -9 of a {part.name.rpartition('-')[0] or part.name}"] += 1

    def _freeze(self) -> None:
        if self._out.wait(self.dice.uniform(2.0, 6.0)):
            return
        # What speaks to Postgres itself may freeze with its flow's lock in hand, and then whoever shares the flow waits.
        direct = self.dice.random() < FROZEN_IN_A_TRANSACTION
        kinds = ("queue-work", "work-") if direct else ("light", "worker")
        names = [name for name in self.farm.parts if name.startswith(kinds)]
        self.farm.parts[self.dice.choice(names)].freeze(
            self.dice.uniform(0.5, 3.0) if direct else self.dice.uniform(1.0, 11.0)
        )
        self.done["freezes"] += 1

    def _postgres(self) -> None:
        if self._out.wait(self.dice.uniform(0.5, 1.5) * POSTGRES_EVERY_S):
            return
        backend = self.dice.random() < 0.5
        self.farm.kill_postgres(backend=backend)
        self.done[f"kill -9 of {'a process of Postgres' if backend else 'Postgres'}"] += 1

    def _cut(self) -> None:
        if self._out.wait(self.dice.uniform(0.5, 1.5) * CUT_EVERY_S):
            return
        self.farm.wire.cut(self.dice.uniform(0.5, 9.0))
        self.done["cuts of the network"] += 1

    def _hold(self) -> None:
        """A snapshot held open for a while: a report, a dump, somebody's forgotten psql."""
        if self._out.wait(self.dice.uniform(5.0, 15.0)):
            return
        with contextlib.suppress(psycopg.Error), psycopg.connect(self.farm.cluster.superuser_url("memoryd")) as holder:
            holder.execute("set transaction isolation level repeatable read")
            holder.execute("select count(*) from farm.job_class")
            began = time.monotonic()
            self._out.wait(self.dice.uniform(10.0, 30.0))
            self.done["seconds under a held snapshot"] += int(time.monotonic() - began)


def keep_going(farm: Farm, seconds: float, finished: object) -> bool:
    """Start again whatever died, until it is finished or the time is up; tell which."""
    assert callable(finished)
    until, looked = time.monotonic() + seconds, 0.0
    while time.monotonic() < until:
        for part in list(farm.parts.values()):
            part.keep_alive()
        if time.monotonic() - looked > 2.0:
            looked = time.monotonic()
            with contextlib.suppress(psycopg.Error, OSError):
                if finished():
                    return True
        time.sleep(LOOK_EVERY_S)
    return False


def left(farm: Farm) -> int:
    """How many jobs have not ended."""
    with farm.sql() as sql:
        found = sql.execute(
            "select count(*) from farm.job where state not in ('succeeded', 'cancelled', 'expired', 'dead')"
        ).fetchone()
    assert found is not None
    return int(str(found[0]))


def all_submitted(farm: Farm) -> bool:
    """Whether every submitter is through."""
    journals = [path for name in farm.parts if "submit" in name for path in [farm.journals / f"{name}.jsonl"]]
    return all(any(line["what"] == "done" for line in read(path)) for path in journals)


def settle(farm: Farm) -> float:
    """Let the farm come to rest with nobody in its way; return the seconds it took."""
    began = time.monotonic()
    for name in [name for name in farm.parts if "meddle" in name]:
        farm.parts.pop(name).kill()
    resume_everything(farm)
    keep_going(farm, SETTLE_LIMIT_S, lambda: all_submitted(farm) and left(farm) == 0)
    # Late reports of zombies come even now, and must still be refused.
    keep_going(farm, 3.0, lambda: False)
    for name in [name for name in farm.parts if name.startswith(("light", "queue-work"))]:
        farm.parts.pop(name).kill()
    return time.monotonic() - began


def resume_everything(farm: Farm) -> None:
    """End every pause that a meddler who was killed has left."""
    import http.client

    for url in farm.urls:
        for scope in ("pools/default", "pools/queue", "projects/default"):
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(url.partition("://")[2], timeout=10)
                headers = {"Authorization": f"Bearer {farm.key}", "Content-Type": "application/json"}
                connection.request("POST", f"/v1/{scope}/resume", body=b"{}", headers=headers)
                connection.getresponse().read()


def burn(jobs: int, minutes: float, seed: int, *, keep: bool, say: object) -> bool:
    """Run it; tell whether all held."""
    assert callable(say)
    whole_way = jobs * WHOLE_WAY_OF_100 // 100 // 2 * 2
    began, held = time.monotonic(), True
    farm = Farm(whole_way=whole_way, in_queue=jobs - whole_way, seed=seed)

    def judge(name: str, holds: bool, detail: str = "") -> None:
        nonlocal held
        held = held and holds
        say(name, holds, detail)

    try:
        fire = Fire(farm, seed)
        print(f"the farm stands after {time.monotonic() - began:.0f} s; the network is {farm.wire.kind}", flush=True)
        lit = time.monotonic()
        fire.light()
        through = keep_going(farm, minutes * 60, lambda: all_submitted(farm) and left(farm) < jobs // 50)
        fire.put_out()
        burnt = time.monotonic() - lit
        rest = settle(farm)
        judge("the farm came to rest by itself", all_submitted(farm) and left(farm) == 0, f"({rest:.0f} s)")
        seen = check(farm, jobs, judge)
        tell(farm, fire, seen, burnt, through)
    finally:
        farm.close(keep=keep or not held)
    return held


def tell(farm: Farm, fire: Fire, seen: Seen, burnt: float, through: bool) -> None:
    """Print what happened."""
    jobs = seen.counts["jobs"]
    print(f"\nburnt for {burnt:.0f} s{'' if through else ' (time was up)'}: {jobs:,} jobs, {jobs / burnt:.0f} a second")
    for name, count in sorted(fire.done.items()):
        print(f"  {count:6,} {name}")
    print(f"  {sum(part.starts - 1 for part in farm.parts.values()):6,} starts again")
    for name in (
        "grant",
        "recorded reports",
        "duplicate reports",
        "refused reports",
        "forgery",
        "cancel",
        "replay",
        "pause",
    ):
        print(f"  {seen.counts[name]:6,} {name}{'' if name.endswith('reports') else 's'}")
    print(f"  {farm.wire.cut_s:6.0f} s without a network")


def main() -> int:
    """Run, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=4.5, help="after which no more is burnt")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="leave journals and logs")
    parser.add_argument("--only", choices=["boundaries", "fire"])
    asked = parser.parse_args()
    passed = failed = 0

    def say(name: str, holds: bool, detail: str = "") -> None:
        nonlocal passed, failed
        passed, failed = passed + holds, failed + (not holds)
        print(f"{'ok  ' if holds else 'FAIL'} {name} {detail}", flush=True)

    began = time.monotonic()
    if asked.only != "fire":
        check_boundaries(say)
    if asked.only != "boundaries":
        burn(asked.jobs, asked.minutes, asked.seed, keep=asked.keep, say=say)
    print(f"{passed} passed, {failed} failed in {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
