"""kill -9 of server, worker, watcher and Postgres in the middle of work, twenty times: nothing lost, nothing twice.

Run: `make faults`. One `memoryd up` lives through all of it; after every kill new pictures arrive and new jobs are
submitted while the part is down. At the end every picture and every job's output is in the memory exactly once.
Prints `N passed, N failed`.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from studio import RECOVERY_WAIT_S, SETTLE_WAIT_S, studio, until

ROUNDS = 20
VICTIMS = ("serve", "worker", "watch", "postgres")
PICTURES_A_ROUND = 12


def main() -> int:
    passed = failed = 0

    def check(name: str, holds: bool, detail: str = "") -> None:
        nonlocal passed, failed
        passed, failed = passed + holds, failed + (not holds)
        print(f"{'ok  ' if holds else 'FAIL'} {name} {detail}", flush=True)

    dice = random.Random(20)
    with studio() as one:
        one.client()
        for round_number in range(ROUNDS):
            victim = VICTIMS[round_number % len(VICTIMS)]
            one.submit()
            one.write_pictures(PICTURES_A_ROUND // 2)
            time.sleep(dice.uniform(0.0, 1.2))
            began = time.monotonic()
            killed = one.kill(victim)
            one.write_pictures(PICTURES_A_ROUND - PICTURES_A_ROUND // 2)
            back = until(lambda: one.client(5).get("/whoami") is not None, RECOVERY_WAIT_S)
            check(
                f"round {round_number + 1}: kill -9 of {victim}", killed and back, f"({time.monotonic() - began:.1f} s)"
            )
        # And the whole of it at once: the supervisor is killed, and started again.
        os.kill(one.up.pid, signal.SIGKILL)
        one.up.wait()
        one.write_pictures(PICTURES_A_ROUND)
        one.up = one._start_up()
        check(
            "the supervisor itself: kill -9, and started again",
            until(lambda: one.client(5) is not None, RECOVERY_WAIT_S),
        )

        def jobs_done() -> bool:
            client = one.client()
            return all(client.get(f"/jobs/{job}")["state"] == "succeeded" for job in one.jobs)

        check("every job is done", until(jobs_done, SETTLE_WAIT_S), f"({len(one.jobs)} jobs)")
        expected = len(one.written) + len(one.jobs)
        until(lambda: len(one.assets()) >= expected, SETTLE_WAIT_S)
        assets = one.assets()
        recorded = [bytes.fromhex(asset["face"]["sha256"]) for asset in assets]
        check("no picture is lost", one.written <= set(recorded), f"({len(one.written)} written)")
        check(
            "nothing is there twice",
            len(recorded) == len(set(recorded)) == expected,
            f"({len(recorded)} of {expected})",
        )
        doctor = one.command("doctor")
        check("doctor finds nothing wrong", doctor.returncode == 0, doctor.stdout[-400:] if doctor.returncode else "")
        audit = one.command("audit", "verify")
        check("the audit trail verifies", audit.returncode == 0, audit.stdout[-400:] if audit.returncode else "")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
